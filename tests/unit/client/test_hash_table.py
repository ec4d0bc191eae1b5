"""The table keeps what a dict would keep, also while it is read."""

import threading
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from postloop.client.hash_table import NOTE_BYTES, RESERVED_KEYS, HashTable

# Few homes, and many keys with the same one: chains are long, meet each other and reach the last slot.
close_keys = st.integers(1, 40).map(lambda n: n * 64) | st.integers(1, 700) | st.just(63)
any_keys = st.integers(-(2**63), 2**63 - 1).filter(lambda key: key not in RESERVED_KEYS)
values = st.integers(1, 2**64 - 1)
steps = st.lists(st.tuples(close_keys | any_keys, values | st.none()), max_size=400)


def note_of(value: int) -> bytes:
    return value.to_bytes(8, "big") * (NOTE_BYTES // 8)


@given(steps)
def test_it_keeps_what_a_dict_would_keep(steps: list[tuple[int, int | None]]) -> None:
    table, model = HashTable(), dict[int, int]()
    for key, value in steps:
        if value is None:
            assert table.remove(key) == model.pop(key, 0)
        else:
            assert table.put(key, value, note_of(value)) == model.get(key, 0)
            model[key] = value
    assert table.count == len(model)
    for key, _ in steps:
        value = model.get(key, 0)
        assert table.find(key) == value
        assert table.note(key) == (note_of(value) if value else b"")


@given(steps, values)
def test_a_value_above_a_limit_is_seen_exactly_when_there_is_one(
    steps: list[tuple[int, int | None]], limit: int
) -> None:
    table, model = HashTable(), dict[int, int]()
    for key, value in steps:
        if value is None:
            table.remove(key)
            model.pop(key, None)
        else:
            table.put(key, value, bytes(NOTE_BYTES))
            model[key] = value
    assert table.has_value_above(limit) == any(value > limit for value in model.values())


def test_a_chain_that_reaches_the_last_slot_is_kept() -> None:
    table = HashTable()
    for n in range(1000):
        table.put(hash((n, "key")), 1, bytes(NOTE_BYTES))
    homes = table._slots.homes
    keys = [homes * n + homes - 1 for n in range(1, 500)]  # all of them have the last home
    for key in keys:
        table.put(key, 2, bytes(NOTE_BYTES))
    assert [table.find(key) for key in keys] == [2] * len(keys)
    assert table.count == 1000 + len(keys)


def test_entries_that_come_and_go_take_no_more_memory() -> None:
    table = HashTable()
    for n in range(20_000):
        table.put(hash((n, "key")), 1, bytes(NOTE_BYTES))
        if n >= 50:
            table.remove(hash((n - 50, "key")))
    assert table.count == 50
    assert table.size_bytes < 20_000


def test_an_entry_takes_between_50_and_80_bytes() -> None:
    table = HashTable()
    for n in range(20_000):
        table.put(hash((n, "key")), 1, bytes(NOTE_BYTES))
        if n > 5_000:
            assert 50 < table.size_bytes / table.count < 80


def test_a_reader_never_misses_what_stays_and_never_sees_a_value_of_another_key() -> None:
    table = HashTable()
    lasting = [hash((n, "lasting")) for n in range(200)]
    for key in lasting:
        table.put(key, key & 0xFFFF | 1, bytes(NOTE_BYTES))
    wrong: list[int] = []
    stop = threading.Event()
    threads = [threading.Thread(target=_read, args=(table.find, lasting, wrong, stop)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for n in range(30_000):
        key = hash((n, "passing"))
        table.put(key, key & 0xFFFF | 1, bytes(NOTE_BYTES))
        if n >= 300:
            table.remove(hash((n - 300, "passing")))
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def _read(find: Callable[[int], int], lasting: list[int], wrong: list[int], stop: threading.Event) -> None:
    n = 0
    while not stop.is_set():
        passing = hash((n % 30_000, "passing"))
        if find(passing) not in (0, passing & 0xFFFF | 1):
            wrong.append(passing)
        wrong += [key for key in lasting[n % 200 : n % 200 + 5] if find(key) != key & 0xFFFF | 1]
        n += 1
