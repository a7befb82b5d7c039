"""The index leaves out only members that would be shown nothing of a change."""

from hypothesis import given
from hypothesis import strategies as st

from services.common.documents import Json
from services.common.envelope import Operation
from services.gateway.filters import EVERYTHING, Filter, Interest, Verdict, verdict
from services.gateway.interest_index import InterestIndex
from tests.stream_events import event

VALUES = st.lists(st.sampled_from("abc"), min_size=1, max_size=2).map(tuple)
FILTERS = st.builds(Filter, ids=st.none() | VALUES, status=st.none() | VALUES, customer_name=st.none() | VALUES)
INTERESTS = st.frozensets(FILTERS, max_size=3)
IMAGES = st.none() | st.fixed_dictionaries(
    {}, optional={"status": st.sampled_from(["a", "b", "c", None]), "customer_name": st.sampled_from(["a", "b", 7])}
)


@given(
    interests=st.lists(INTERESTS, max_size=6),
    removed=st.sets(st.integers(0, 5)),
    operation=st.sampled_from(Operation),
    id=st.sampled_from("abcd"),
    data=IMAGES,
    before=IMAGES,
)
def test_no_concerned_group_is_left_out(
    interests: list[Interest],
    removed: set[int],
    operation: Operation,
    id: str,
    data: dict[str, Json] | None,
    before: dict[str, Json] | None,
) -> None:
    index: InterestIndex[int] = InterestIndex()
    for member, interest in enumerate(interests):
        index.add(member, interest)
    for member in removed & set(range(len(interests))):
        index.remove(member, interests[member])
    change = event(1, operation, id=id, data=data, before=before)
    candidates = list(index.candidates(change))
    told = {member for member, interest in enumerate(interests) if verdict(interest, change) is not Verdict.HIDE}
    assert told - removed <= set(candidates)
    assert not removed & set(candidates)
    assert len(candidates) == len(set(candidates))


def test_a_thousand_filters_are_not_asked_about_a_change_that_concerns_three() -> None:
    index: InterestIndex[int] = InterestIndex()
    for member in range(1000):
        index.add(member, frozenset({Filter(customer_name=(f"customer {member}",))}))
    index.add(1000, frozenset({Filter(ids=("x",))}))
    index.add(1001, EVERYTHING)
    change = event(
        1, Operation.UPDATE, id="x", data={"customer_name": "customer 7"}, before={"customer_name": "customer 8"}
    )
    assert set(index.candidates(change)) == {7, 8, 1000, 1001}
    assert set(index.candidates(event(2, Operation.DELETE, id="y"))) == set(range(1002)), "nobody knows what it was"
