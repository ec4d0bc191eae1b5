"""Whose change it is, and what to do, in a sentence or two."""

from __future__ import annotations

from typing import Final

from postloop.domain.pool.change import Change, Verdict
from postloop.domain.wording import DEFAULT_LANGUAGE, percent, words_of

_MEASURES: Final[dict[str, dict[str, str]]] = {
    "en": {
        "hard_bounce": "hard bounce rate",
        "soft_bounce": "soft bounce rate",
        "refusal": "refusal rate",
        "complaint": "complaint rate",
        "open": "open rate",
        "delay": "delayed rate",
    },
    "id": {
        "hard_bounce": "tingkat hard bounce",
        "soft_bounce": "tingkat soft bounce",
        "refusal": "tingkat penolakan",
        "complaint": "tingkat keluhan",
        "open": "tingkat buka",
        "delay": "tingkat keterlambatan",
    },
}
_CHANGED: Final = {
    "en": "Your {measure} went from {before} to {after}.",
    "id": "{measure} Anda berubah dari {before} menjadi {after}.",
}
_VERDICTS: Final[dict[str, dict[Verdict, str]]] = {
    "en": {
        "common": "The other senders of your shared pool went through the same ({common} of the change is the pool's):"
        " it is the pool that changed, ask your platform about it.",
        "own": "The other senders of your shared pool did not: {own} of the change is your own. Look at your list and"
        " your content.",
        "both": "{common} of that the other senders of your shared pool went through too, {own} is your own.",
        "none": "That is no more than chance.",
        "not_enough_data": "That is too little mail to tell whose change it is.",
    },
    "id": {
        "common": "Pengirim lain di pool bersama Anda mengalami hal yang sama ({common} dari perubahan berasal dari"
        " pool): yang berubah adalah pool-nya, tanyakan kepada platform Anda.",
        "own": "Pengirim lain di pool bersama Anda tidak mengalaminya: {own} dari perubahan berasal dari Anda sendiri."
        " Periksa daftar penerima dan konten Anda.",
        "both": "{common} di antaranya juga dialami pengirim lain di pool bersama Anda, {own} dari Anda sendiri.",
        "none": "Perubahan itu masih dalam batas kebetulan.",
        "not_enough_data": "Emailnya terlalu sedikit untuk menentukan asal perubahan.",
    },
}
_DEDICATED: Final = {
    "en": "Nobody else sends from your pool: the change is your own. Look at your list and your content.",
    "id": "Tidak ada pengirim lain di pool Anda: perubahan itu dari Anda sendiri. Periksa daftar penerima dan konten"
    " Anda.",
}
_POINTS: Final = {"en": "points", "id": "poin persen"}
_NO_RATE: Final = {"en": "There is no mail to compare.", "id": "Tidak ada email untuk dibandingkan."}


def describe(change: Change, lang: str = DEFAULT_LANGUAGE) -> str:
    """Return the change, whose it is, and what to do; an unknown language is English.

    Parts are named in percentage points with their sign, so that they add up for the reader too.
    """
    if change.before_rate is None or change.after_rate is None or change.own_part is None:
        return words_of(lang, _NO_RATE)
    changed = words_of(lang, _CHANGED).format(
        measure=words_of(lang, _MEASURES)[change.measure],
        before=percent(change.before_rate, lang, digits=2),
        after=percent(change.after_rate, lang, digits=2),
    )
    is_alone = change.common_part is None and change.verdict == "own"
    verdict = words_of(lang, _DEDICATED) if is_alone else words_of(lang, _VERDICTS)[change.verdict]
    parts = verdict.format(
        common=_points(change.common_part or 0.0, lang), own=_points(change.own_part, lang)
    )
    return f"{changed[0].upper()}{changed[1:]} {parts}"


def _points(part: float, lang: str) -> str:
    # Rounded first: a part of nothing has no sign.
    rounded = round(part, 4) + 0.0
    sign = "+" if rounded > 0 else ""
    return sign + percent(rounded, lang, digits=2).replace(
        " %", {"id": " poin persen"}.get(lang[:2], " points")
    )
