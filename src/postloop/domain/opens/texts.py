"""What a verdict on an open rate means, and what to do, in a sentence or two."""

from __future__ import annotations

from typing import Final

from postloop.domain.opens.verdict import OpenReport, OpenVerdict
from postloop.domain.wording import DEFAULT_LANGUAGE, percent, words_of

_VERDICTS: Final[dict[str, dict[OpenVerdict, str]]] = {
    "en": {
        "healthy": "Healthy: people expect this mail, and {line} or more of it is opened.",
        "low": "Low: people expect this mail, so {line} or more should be opened. It may land in spam, or arrive late:"
        " look at authentication, bounces and delivery times first.",
        "probably_spam": "It probably lands in spam: less than {line} is opened. Look at complaints, mail those who"
        " opened lately, and compare subjects.",
        "no_fault": "No fault: {line} or more is opened. Compare the campaigns with each other.",
        "steady": "As usual for this mail.",
        "fallen": "Lower than it used to be. Look for what changed: content, authentication, a provider that filters.",
        "risen": "Higher than it used to be.",
        "uncertain": "Too close to {line} to tell.",
        "not_enough_data": "Not enough data for a verdict.",
    },
    "id": {
        "healthy": "Sehat: penerima menunggu email ini, dan {line} atau lebih dibuka.",
        "low": "Rendah: penerima menunggu email ini, jadi {line} atau lebih seharusnya dibuka. Email mungkin masuk spam"
        " atau terlambat: periksa dahulu autentikasi, bounce, dan waktu pengiriman.",
        "probably_spam": "Kemungkinan masuk spam: kurang dari {line} dibuka. Periksa keluhan, kirim hanya ke penerima"
        " yang baru-baru ini membuka email, dan bandingkan subjek.",
        "no_fault": "Tidak ada masalah: {line} atau lebih dibuka. Bandingkan kampanye satu sama lain.",
        "steady": "Seperti biasanya untuk email ini.",
        "fallen": "Lebih rendah dari biasanya. Cari apa yang berubah: konten, autentikasi, atau penyaringan penyedia.",
        "risen": "Lebih tinggi dari biasanya.",
        "uncertain": "Terlalu dekat dengan {line} untuk dipastikan.",
        "not_enough_data": "Data belum cukup untuk penilaian.",
    },
}
_RATES: Final = {
    "en": "{visible} of the mail that can be seen was opened by a person ({low} to {high}); {blind} cannot be seen, and"
    " with machines {raw} of all was opened.",
    "id": "{visible} dari email yang dapat dilihat dibuka oleh orang ({low} sampai {high}); {blind} tidak dapat"
    " dilihat, dan bersama mesin {raw} dari semuanya dibuka.",
}


def describe(report: OpenReport, lang: str = DEFAULT_LANGUAGE) -> str:
    """Return the verdict and its figures; an unknown language is English."""
    line = "" if report.line_rate is None else percent(report.line_rate, lang, digits=0)
    verdict = words_of(lang, _VERDICTS)[report.verdict].format(line=line)
    if report.visible_rate is None or report.raw_rate is None or report.blind_rate is None:
        return verdict
    rates = words_of(lang, _RATES).format(
        visible=percent(report.visible_rate, lang),
        low=percent(report.interval.low, lang),
        high=percent(report.interval.high, lang),
        blind=percent(report.blind_rate, lang),
        raw=percent(report.raw_rate, lang),
    )
    return f"{verdict} {rates}"
