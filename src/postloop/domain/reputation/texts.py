"""Grades, recommendations and actions in words, for customers."""

from __future__ import annotations

from typing import Final

from postloop.domain.reputation.actions import ActionCode
from postloop.domain.reputation.score import Grade

DEFAULT_LANGUAGE: Final = "en"

_GRADES: Final[dict[str, dict[Grade, str]]] = {
    "en": {
        "high": "Good: nothing in this domain's mail stands out.",
        "medium": "Fair: near a limit, but not above one.",
        "low": "Low: a rate is surely above its warning limit.",
        "bad": "Bad: a rate is surely above its critical limit.",
        "unknown": "Unknown: too little mail in 30 days for a verdict.",
    },
    "id": {
        "high": "Baik: tidak ada yang mencolok pada email domain ini.",
        "medium": "Cukup: mendekati batas, tetapi belum melewatinya.",
        "low": "Rendah: ada tingkat yang sudah pasti melewati batas peringatan.",
        "bad": "Buruk: ada tingkat yang sudah pasti melewati batas kritis.",
        "unknown": "Belum diketahui: email dalam 30 hari terlalu sedikit untuk dinilai.",
    },
}
_ACTIONS: Final[dict[str, dict[ActionCode, str]]] = {
    "en": {
        "pause": "Stop all mail that people did not just ask for, until the cause below is removed.",
        "throttle": "Send less: start with the recipients who opened or answered lately, and add others step by step.",
        "resume": "Sending can go on as usual; raise the volume over some days.",
        "mail_willing_recipients": "Mail only people who asked for it and showed interest in the last months; leave out"
        " bought and old lists.",
        "unsubscribe_in_one_click": "Put a visible unsubscribe link and one-click unsubscribe (RFC 8058) into every"
        " marketing mail, and honour it within two days.",
        "remove_dead_addresses": "Remove the addresses that bounced, and never mail blocked ones again.",
        "check_where_addresses_come_from": "Find out where the dead addresses come from: confirm new ones by mail at"
        " sign-up, and check imported lists.",
        "fix_authentication": "Repair SPF, DKIM and DMARC of the sender domain, and compare its DNS records with those"
        " that the console asks for.",
        "change_content": "Change what filters refuse: links and their domains, attachments, size, wording.",
        "restore_standing": "Read what the servers answered: slow down where they say so, and ask the named blocklist"
        " or mailbox provider for removal once the cause is gone.",
        "watch_complaints": "Complaints seem to be above a limit, but there is too little mail to be sure: watch"
        " the next mailings.",
        "watch_hard_bounces": "Hard bounces seem to be above a limit, but there is too little mail to be sure: check"
        " the newest addresses.",
        "watch_refusals": "Refusals seem to be above a limit, but there is too little mail to be sure: read the"
        " servers' answers.",
        "send_more": "Nothing to do: a verdict needs more mail.",
        "nothing": "Nothing to do.",
    },
    "id": {
        "pause": "Hentikan semua email yang tidak baru saja diminta penerima sampai penyebab di bawah ini diatasi.",
        "throttle": "Kurangi pengiriman: mulai dari penerima yang baru-baru ini membuka atau membalas, lalu tambah"
        " yang lain sedikit demi sedikit.",
        "resume": "Pengiriman dapat berjalan seperti biasa; naikkan volumenya selama beberapa hari.",
        "mail_willing_recipients": "Kirim hanya kepada orang yang memintanya dan menunjukkan minat dalam beberapa bulan"
        " terakhir; jangan pakai daftar lama atau daftar yang dibeli.",
        "unsubscribe_in_one_click": "Sertakan tautan berhenti berlangganan yang jelas dan berhenti berlangganan satu"
        " klik (RFC 8058) di setiap email pemasaran, dan penuhi permintaannya dalam dua hari.",
        "remove_dead_addresses": "Hapus alamat yang bounce, dan jangan lagi mengirim ke alamat yang diblokir.",
        "check_where_addresses_come_from": "Cari tahu asal alamat yang tidak ada: konfirmasi alamat baru lewat email"
        " saat pendaftaran, dan periksa daftar yang diimpor.",
        "fix_authentication": "Perbaiki SPF, DKIM, dan DMARC domain pengirim, dan cocokkan record DNS-nya dengan yang"
        " diminta konsol.",
        "change_content": "Ubah isi yang ditolak filter: tautan dan domainnya, lampiran, ukuran, kata-kata.",
        "restore_standing": "Baca jawaban server: perlambat pengiriman jika diminta, dan ajukan penghapusan ke daftar"
        " blokir atau penyedia email yang disebut setelah penyebabnya diatasi.",
        "watch_complaints": "Keluhan tampaknya melewati batas, tetapi email masih terlalu sedikit untuk memastikannya:"
        " amati pengiriman berikutnya.",
        "watch_hard_bounces": "Hard bounce tampaknya melewati batas, tetapi email masih terlalu sedikit untuk"
        " memastikannya: periksa alamat terbaru.",
        "watch_refusals": "Penolakan tampaknya melewati batas, tetapi email masih terlalu sedikit untuk memastikannya:"
        " baca jawaban server.",
        "send_more": "Tidak perlu tindakan: penilaian membutuhkan lebih banyak email.",
        "nothing": "Tidak perlu tindakan.",
    },
}
LANGUAGES: Final = tuple(_ACTIONS)


def action_text(code: ActionCode, lang: str = DEFAULT_LANGUAGE) -> str:
    """Return an action in a sentence. `id-ID` is `id`; a language that there is not is English."""
    return _ACTIONS[_known(lang)][code]


def grade_text(grade: Grade, lang: str = DEFAULT_LANGUAGE) -> str:
    """Return what a grade means. `id-ID` is `id`; a language that there is not is English."""
    return _GRADES[_known(lang)][grade]


def _known(lang: str) -> str:
    code = lang.replace("_", "-").partition("-")[0].strip().lower()
    return code if code in _ACTIONS else DEFAULT_LANGUAGE
