"""What an alert means, in a sentence or two for customers."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from postloop.domain.alert.model import DeliveryAlert, Scope
from postloop.domain.wording import DEFAULT_LANGUAGE, moment, number, percent, words_of

_Sentences = dict[str, str]

_SLOW_EN: Final = (
    " {rate} took longer than 5 minutes ({delayed} of {delivered} deliveries since {start}; usually {usual})."
    " Late mail is still delivered: send no copies, and start large mailings later."
)
_SLOW_ID: Final = (
    " {rate} membutuhkan lebih dari 5 menit ({delayed} dari {delivered} pengiriman sejak {start}; biasanya"
    " {usual}). Email yang terlambat tetap terkirim: jangan mengirim ulang, dan tunda pengiriman massal."
)
_TEXTS: Final[dict[str, _Sentences]] = {
    "en": {
        "slow": "{provider} accepts mail of {domain} late." + _SLOW_EN,
        "slow_everybody": "{provider} accepts mail late, whoever sent it." + _SLOW_EN,
        "delays": "Mail of {domain} arrives late." + _SLOW_EN,
        "delays_everybody": "Mail arrives late." + _SLOW_EN,
        "slow_ended": "Delivery times of {who} are usual again since {end} ({delayed} of {delivered} were late).",
        "silence": "No {feedback} arrive for {domain} since {start}, though mail flows: {expected} were expected."
        " By chance that happens in {odds} such times. The feed is probably broken: check that events are still"
        " published before you trust the rates.",
        "silence_everybody": "No {feedback} arrive since {start}, though mail flows: {expected} were expected."
        " By chance that happens in {odds} such times. The feed is probably broken: check that events are still"
        " published before you trust the rates.",
        "silence_ended": "{feedback} for {who} arrive again since {end}; rates between {start} and then are too low.",
        "silence_ended_limit": "{feedback} for {who} did not come back; from {end} on none are expected any more.",
    },
    "id": {
        "slow": "{provider} terlambat menerima email dari {domain}." + _SLOW_ID,
        "slow_everybody": "{provider} terlambat menerima email dari semua pengirim." + _SLOW_ID,
        "delays": "Email dari {domain} tiba terlambat." + _SLOW_ID,
        "delays_everybody": "Email tiba terlambat." + _SLOW_ID,
        "slow_ended": "Waktu pengiriman {who} kembali normal sejak {end} ({delayed} dari {delivered} terlambat).",
        "silence": "Tidak ada {feedback} untuk {domain} sejak {start}, padahal email tetap terkirim: seharusnya"
        " {expected}. Secara kebetulan hal ini terjadi dalam {odds} kasus serupa. Aliran data kemungkinan putus:"
        " periksa apakah event masih dikirim sebelum mempercayai angka tingkatnya.",
        "silence_everybody": "Tidak ada {feedback} sejak {start}, padahal email tetap terkirim: seharusnya"
        " {expected}. Secara kebetulan hal ini terjadi dalam {odds} kasus serupa. Aliran data kemungkinan putus:"
        " periksa apakah event masih dikirim sebelum mempercayai angka tingkatnya.",
        "silence_ended": "{feedback} untuk {who} masuk kembali sejak {end}; tingkat antara {start} dan saat itu"
        " terlalu rendah.",
        "silence_ended_limit": "{feedback} untuk {who} tidak kembali; mulai {end} tidak lagi diharapkan.",
    },
}
_FEEDBACK: Final[dict[str, _Sentences]] = {
    "en": {"delivery": "deliveries", "bounce": "bounces", "complaint": "complaints", "open": "opens"},
    "id": {
        "delivery": "event delivery",
        "bounce": "event bounce",
        "complaint": "keluhan",
        "open": "event open",
    },
}
_EVERYBODY: Final = {"en": "all senders", "id": "semua pengirim"}
_RARER: Final = {"en": "fewer than one in a million", "id": "kurang dari satu di antara sejuta"}


def describe(alert: DeliveryAlert, lang: str = DEFAULT_LANGUAGE) -> str:
    """Return what happened and what to do, with its figures; an unknown language is English.

    Raises:
        KeyError: it is an outage of a provider, which domain/incident describes, or a figure is missing.
    """
    sentences, scope = words_of(lang, _TEXTS), alert.scope
    slow = alert.kind in ("slow", "delays")
    sentence = sentences[_name(alert)]
    common = {
        "provider": scope.mailbox_provider or "",
        "domain": scope.sender_domain or "",
        "who": _who(scope, lang),
        "start": _at(alert.started_at),
        "end": _at(alert.ended_at) if alert.ended_at else "",
    }
    text = sentence.format(**common, **(_slow_figures if slow else _silence_figures)(alert, lang))
    return text[0].upper() + text[1:]


def _name(alert: DeliveryAlert) -> str:
    kind = alert.kind
    if alert.ended_at is None:
        return kind if alert.scope.sender_domain else f"{kind}_everybody"
    if kind == "silence":
        return "silence_ended_limit" if alert.figures["cause"] == "limit" else "silence_ended"
    return "slow_ended"


def _slow_figures(alert: DeliveryAlert, lang: str) -> dict[str, str]:
    figures = alert.figures
    return {
        "rate": percent(float(figures["delayed_rate"]), lang),
        "usual": percent(float(figures["usual_rate"]), lang),
        "delayed": number(int(figures["delayed_count"]), lang),
        "delivered": number(int(figures["delivered_count"]), lang),
    }


def _silence_figures(alert: DeliveryAlert, lang: str) -> dict[str, str]:
    figures = alert.figures
    probability = float(figures["probability"])
    odds = words_of(lang, _RARER) if probability < 1e-6 else percent(probability, lang, digits=4)
    return {
        "feedback": words_of(lang, _FEEDBACK)[str(figures["feedback"])],
        "expected": number(round(float(figures["expected_count"])), lang),
        "odds": odds,
    }


def _who(scope: Scope, lang: str) -> str:
    names = [name for name in (scope.sender_domain, scope.mailbox_provider) if name]
    return " / ".join(names) or words_of(lang, _EVERYBODY)


def _at(at: datetime) -> str:
    return moment(int(at.timestamp() * 1000))
