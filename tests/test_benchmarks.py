"""Benchmarks are run by hand; that they still run is asked here, on sizes that say nothing of speed."""

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
