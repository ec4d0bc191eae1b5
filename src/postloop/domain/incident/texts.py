"""What a transition means, in a sentence or two for operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from postloop.domain.incident.transitions import IncidentEnded, IncidentStarted, Transition
from postloop.domain.wording import DEFAULT_LANGUAGE, moment, number, percent, words_of


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of one language."""

    started: str
    ended: dict[str, str]
    verdict: dict[str, str]


_WORDS: Final = {
    "en": _Words(
        started="{provider} refuses {rate} of the mail as sent to unknown recipients ({hard} of {outcomes} in the"
        " last minutes, usually {baseline}), across {accounts} accounts and {domains} sender domains, since about"
        " {start}. Its hard bounces are held and block nobody until the rate is back; addresses that they have"
        " blocked since then are released.",
        ended={
            "over": "{provider} is back at its usual rate; its hard bounces block again since {end}.",
            "limit": "{provider} was not seen back at its usual rate, but a hold must end: its hard bounces block"
            " again since {end}, and no new hold begins while the excess lasts.",
            "operator": "An operator ended the hold of {provider}: its hard bounces block again since {end}.",
        },
        verdict={
            "discard": "The bounces that were held are discarded ({hard} hard ones of {outcomes} outcomes since"
            " {start}); an address that is gone bounces again with its next mail.",
            "release": "The bounces that were held now block as they would have ({hard} hard ones of {outcomes}"
            " outcomes since {start}).",
        },
    ),
    "id": _Words(
        started="{provider} menolak {rate} email dengan alasan penerima tidak dikenal ({hard} dari {outcomes} dalam"
        " beberapa menit terakhir, biasanya {baseline}), pada {accounts} akun dan {domains} domain pengirim, sejak"
        " sekitar {start}. Hard bounce-nya ditahan dan tidak memblokir siapa pun sampai tingkatnya normal kembali;"
        " alamat yang terblokir olehnya sejak itu dilepas.",
        ended={
            "over": "Tingkat penolakan {provider} sudah normal; hard bounce-nya kembali memblokir sejak {end}.",
            "limit": "Tingkat penolakan {provider} belum terlihat normal, tetapi penahanan harus berakhir: hard"
            " bounce-nya kembali memblokir sejak {end}, dan tidak ada penahanan baru selama kelebihan ini"
            " berlangsung.",
            "operator": "Operator mengakhiri penahanan {provider}: hard bounce-nya kembali memblokir sejak {end}.",
        },
        verdict={
            "discard": "Bounce yang ditahan dibuang ({hard} hard bounce dari {outcomes} hasil sejak {start});"
            " alamat yang benar-benar tidak ada akan bounce lagi pada email berikutnya.",
            "release": "Bounce yang ditahan kini memblokir seperti biasa ({hard} hard bounce dari {outcomes} hasil"
            " sejak {start}).",
        },
    ),
}


def describe(transition: Transition, lang: str = DEFAULT_LANGUAGE) -> str:
    """Return what happened and what it means for the blocklist, with its figures.

    `id-ID` is `id`; a language that there is not is English.
    """
    words = words_of(lang, _WORDS)
    match transition:
        case IncidentStarted():
            return words.started.format(
                provider=transition.provider,
                rate=percent(transition.rate, lang),
                baseline=percent(transition.baseline_rate, lang),
                hard=number(transition.hard_count, lang),
                outcomes=number(transition.outcome_count, lang),
                accounts=number(transition.account_count, lang),
                domains=number(transition.domain_count, lang),
                start=moment(transition.started_ms),
            )
        case IncidentEnded():
            text = f"{words.ended[transition.cause]} {words.verdict[transition.verdict]}"
            return text.format(
                provider=transition.provider,
                hard=number(transition.hard_count, lang),
                outcomes=number(transition.outcome_count, lang),
                start=moment(transition.started_ms),
                end=moment(transition.ended_ms),
            )
