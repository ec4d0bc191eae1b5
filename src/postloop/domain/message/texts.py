"""The sentences about a message, in each language."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from postloop.domain.message.model import Channel
from postloop.domain.wording import moment, words_of

_Words = dict[str, str]
Lift = Literal["operator", "opt_in", "unblock"]
"""What ends a block before its time: only an operator, a new consent, or the account whose mail caused it."""

_VERDICTS: Final[dict[str, _Words]] = {
    "en": {
        "delivered": "It was delivered{after}.",
        "delivered_late": "It was delivered late{after}.",
        "delivered_proven": "It arrived: there is no delivery event, but the recipient did something with it.",
        "on_its_way": "It is on its way: {since}, and nothing final was heard yet.",
        "delayed": "It is delayed: {since}, and nothing final was heard yet.",
        "lost": "It counts as lost: {since}, and for 72 hours nothing final was heard.",
        "bounced_hard": "It bounced for good{after}.",
        "bounced_soft": "It bounced{after}; the sending server gave up.",
        "bounced_replaced": "It was accepted at first and bounced afterwards{after}.",
        "refused": "It was not sent: the platform refused it.",
        "suppressed": "It was not sent: the address was blocked.",
        "after": ", {span} after it was sent",
        "sent": "sent {span} ago",
        "heard_of": "first heard of {span} ago",
    },
    "id": {
        "delivered": "Email terkirim{after}.",
        "delivered_late": "Email terlambat terkirim{after}.",
        "delivered_proven": "Email tiba: tidak ada event delivery, tetapi penerima sudah berinteraksi dengannya.",
        "on_its_way": "Email dalam perjalanan: {since}, hasil akhirnya belum ada.",
        "delayed": "Email tertunda: {since}, hasil akhirnya belum ada.",
        "lost": "Email dianggap hilang: {since}, dan selama 72 jam tidak ada hasil akhir.",
        "bounced_hard": "Email ditolak secara permanen{after}.",
        "bounced_soft": "Email ditolak{after}; server pengirim berhenti mencoba.",
        "bounced_replaced": "Email semula diterima lalu ditolak{after}.",
        "refused": "Email tidak dikirim: platform menolaknya.",
        "suppressed": "Email tidak dikirim: alamat penerima diblokir.",
        "after": ", {span} setelah dikirim",
        "sent": "dikirim {span} yang lalu",
        "heard_of": "pertama diketahui {span} yang lalu",
    },
}
_REASONS: Final[dict[str, _Words]] = {
    "en": {
        "on_its_way": "Most mail gets its result within 5 minutes.",
        "lost": "No server reported a delivery or a bounce, so it cannot be told where the message ended.",
        "read": "A person opened it.",
        "unread": "The receiving server took it; no person is known to have opened it.",
    },
    "id": {
        "on_its_way": "Sebagian besar email mendapat hasil dalam 5 menit.",
        "lost": "Tidak ada server yang melaporkan pengiriman atau bounce, jadi akhirnya tidak dapat diketahui.",
        "read": "Email dibuka oleh seseorang.",
        "unread": "Server penerima menerimanya; belum diketahui ada orang yang membukanya.",
    },
}
_STEPS: Final[dict[str, _Words]] = {
    "en": {
        "wait": "Wait; send no copy.",
        "look_in_spam": "If the recipient does not see it: ask for a look into the spam folder.",
        "find_feedback": "Check that the sending servers still report: without delivery and bounce events every message"
        " looks lost.",
        "send_again": "If other messages of that time did arrive, send this one again.",
        "blocked": "The address is blocked for {scope} {until}: mail to it is not sent.{why} {lift}",
        "operator": "Only the operator can lift the block: it was not, or not only, your mail that caused it.",
        "opt_in": "A new consent of the recipient ends it{opt_in}, or the operator.",
        "unblock": "Lift the block only if the address is surely right (`{unblock}`).",
        "global": "every sender",
        "until": "until {at}",
        "for_good": "without end",
    },
    "id": {
        "wait": "Tunggu; jangan mengirim salinan.",
        "look_in_spam": "Jika penerima tidak melihatnya: minta penerima memeriksa folder spam.",
        "find_feedback": "Periksa apakah server pengirim masih melapor: tanpa event delivery dan bounce semua email"
        " tampak hilang.",
        "send_again": "Jika email lain pada waktu itu tiba, kirim ulang email ini.",
        "blocked": "Alamat ini diblokir untuk {scope} {until}: email tidak dikirim kepadanya.{why} {lift}",
        "operator": "Hanya operator yang dapat mencabutnya: bukan, atau bukan hanya, email Anda penyebabnya.",
        "opt_in": "Persetujuan baru penerima{opt_in} atau operator mengakhirinya.",
        "unblock": "Cabut blokir hanya jika alamatnya pasti benar (`{unblock}`).",
        "global": "semua pengirim",
        "until": "sampai {at}",
        "for_good": "tanpa batas waktu",
    },
}
UNBLOCK: Final[dict[Channel, str]] = {
    "api": "POST /v1/blocklist/unblock",
    "command_line": "postloop blocklist unblock",
}
"""What lifts a block."""
# No route takes a consent: whoever runs the platform vouches for it.
_OPT_IN: Final[dict[str, dict[Channel, str]]] = {
    "en": {
        "api": ", once the operator of the sending platform has confirmed it",
        "command_line": " (`postloop blocklist opt-in`)",
    },
    "id": {
        "api": " yang dikonfirmasi operator platform pengirim",
        "command_line": " (`postloop blocklist opt-in`)",
    },
}
_EVENTS: Final[dict[str, _Words]] = {
    "en": {
        "accepted": "The platform took it.",
        "rejected": "The platform refused it.",
        "suppressed": "The sender did not send it: the address was blocked.",
        "delivered": "The receiving server took it.",
        "hard_bounce": "Refused for good: {reason}",
        "soft_bounce": "Refused, and given up: {reason}",
        "deferral": "Put off, to be tried again: {reason}",
        "complaint": "The recipient reported it as spam.",
        "not_spam": "The recipient said that it is no spam.",
        "authentication_report": "A server reported that SPF, DKIM or DMARC did not pass.",
        "human_open": "A person opened it.",
        "machine_open": "A machine fetched its images; that need not mean that anybody read it.",
        "unsubscribe": "The recipient unsubscribed.",
    },
    "id": {
        "accepted": "Platform menerimanya.",
        "rejected": "Platform menolaknya.",
        "suppressed": "Pengirim tidak mengirimnya: alamat penerima diblokir.",
        "delivered": "Server penerima menerimanya.",
        "hard_bounce": "Ditolak secara permanen: {reason}",
        "soft_bounce": "Ditolak, dan tidak dicoba lagi: {reason}",
        "deferral": "Ditunda, akan dicoba lagi: {reason}",
        "complaint": "Penerima melaporkannya sebagai spam.",
        "not_spam": "Penerima menyatakan bahwa ini bukan spam.",
        "authentication_report": "Sebuah server melaporkan bahwa SPF, DKIM, atau DMARC tidak lolos.",
        "human_open": "Seseorang membukanya.",
        "machine_open": "Mesin mengambil gambarnya; itu belum tentu berarti ada yang membacanya.",
        "unsubscribe": "Penerima berhenti berlangganan.",
    },
}
_UNITS: Final[dict[str, tuple[str, str, str, str]]] = {
    "en": ("d", "h", "min", "s"),
    "id": ("hari", "jam", "menit", "detik"),
}
_UNIT_S: Final = (86_400, 3_600, 60, 1)
_EXACT_BELOW_S: Final = 10


def verdict_text(name: str, lang: str, *, seconds: float, is_sending_known: bool) -> str:
    """Return a verdict in a sentence.

    Args:
        name: Of the sentence.
        lang: Tag of a language.
        seconds: From the sending to the end, or to now.
        is_sending_known: Without it, that time is not told as one since the sending.
    """
    words, span = words_of(lang, _VERDICTS), duration_text(seconds, lang)
    return words[name].format(
        after=words["after"].format(span=span) if is_sending_known else "",
        since=words["sent" if is_sending_known else "heard_of"].format(span=span),
    )


def reason_text(name: str, lang: str) -> str:
    """Return why, where no code or reply tells."""
    return words_of(lang, _REASONS)[name]


def step_text(name: str, lang: str) -> str:
    """Return one next step."""
    return words_of(lang, _STEPS)[name]


def blocked_text(
    lang: str, *, scope: str, expires_at: datetime | None, why: str, lift: Lift, channel: Channel
) -> str:
    """Return that an address is blocked, for whom and until when, and who can lift that.

    Args:
        lang: Tag of a language.
        scope: A sender domain; "": everybody.
        expires_at: None: without end.
        why: A sentence, "" where it may not be told.
        lift: Who or what can end it before.
        channel: Over which that is done.
    """
    words = words_of(lang, _STEPS)
    at = "" if expires_at is None else moment(int(expires_at.timestamp() * 1000))
    return words["blocked"].format(
        scope=scope or words["global"],
        until=words["until"].format(at=at) if at else words["for_good"],
        why=f" {why}" if why else "",
        lift=words[lift].format(unblock=UNBLOCK[channel], opt_in=words_of(lang, _OPT_IN)[channel]),
    )


def event_text(name: str, lang: str, *, reason: str = "") -> str:
    """Return one event in a sentence; one of a later release is named as it is."""
    return words_of(lang, _EVENTS).get(name, name).format(reason=reason)


def duration_text(seconds: float, lang: str) -> str:
    """Return a time span by its largest unit and the next one, below 10 s to the tenth; a negative one is 0 s."""
    units = words_of(lang, _UNITS)
    if seconds < _EXACT_BELOW_S:
        tenths = f"{max(seconds, 0):.1f}"
        return f"{tenths if lang == 'en' else tenths.replace('.', ',')} {units[-1]}"
    rest, parts = int(seconds), []
    for unit, size in zip(units, _UNIT_S, strict=True):
        count, rest = divmod(rest, size)
        parts.append((count, unit))
    first = next(place for place, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)
