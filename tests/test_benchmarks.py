"""Benchmarks are run by hand; that they still run is asked here, on sizes that say nothing of speed."""

from tests.benchmarks import alarms, sealing
from tests.benchmarks.dispatch import ALL, LACKING, LIMIT, ONE, Sizes, bare, judged, measure, table


async def test_the_rounds_of_the_dispatch_benchmark_give_out_what_they_should(database_url: str) -> None:
    sizes = Sizes(backlogs=(60, 120), teams=(9,), rounds=1, claims=2, slices=1, warm=1)
    found = await measure(database_url, sizes, [bare])
    items = {name: costs.items for (backlog, name), costs in found.items() if backlog == 120}
    assert [items[f"{case} 9"] for case in (ALL, ONE, LACKING)] == [[9], [1], [0]]
    assert items[LIMIT] == [1, 1]
    blocked = [given for name, given in items.items() if "pair" in name or "kept" in name]
    assert blocked == [[0], [0]]
    table(found, sizes, [LIMIT])
    assert len(judged(found, sizes, [LIMIT])) == 4


async def test_the_workers_of_the_alarms_benchmark_do_all_that_falls_due_and_nothing_else() -> None:
    sizes = alarms.Sizes(
        backlogs=(50,), replicas=(2,), at_once=40, a_second=100, seconds=1, slices=1, patience=20.0)
    found = await alarms.compare(sizes, [alarms.HOUSE])
    seen = found[50, 2, alarms.HOUSE]
    assert len(seen.rates) == 1
    assert len(seen.lateness[0]) == 100
    assert max(seen.lateness[0]) < 20
    alarms.table(found)
    assert len(alarms.judged(found, sizes, [alarms.HOUSE])) == 1


async def test_the_sealing_benchmark_seals_renders_and_archives_beside_the_bare_calls(database_url: str) -> None:
    found = await sealing.measure(database_url, sealing.Sizes(paced=1, at_once=1, calls=1, warm=1))
    assert len(found.hands) == 1
    assert found.rate > 0
    kinds = ("render", "seal", "B-LTA", "B-LTA proven")
    assert {name: len(times) for name, times in found.bare.items()} == dict.fromkeys(kinds, 1)
    assert found.lags
    sealing.table(found)
    assert len(sealing.judged(found)) == 5
