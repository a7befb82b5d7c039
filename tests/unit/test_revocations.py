"""What is revoked, compared with a look at every revocation, over random ones that come and go."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.revocations import Revocation, Revocations

NAMES = st.sampled_from(["ada", "eve", "joe"])
TIMES = st.none() | st.integers(0, 5).map(float)
REVOCATIONS = st.lists(
    st.builds(
        lambda subject, name, before, until: Revocation(
            "", 0.0, until, name if subject else None, None if subject else name, before if subject else None
        ),
        st.booleans(),
        NAMES,
        TIMES,
        st.integers(1, 5).map(float),
    ),
    max_size=8,
).map(lambda found: [one._replace(id=str(number)) for number, one in enumerate(found)])
TOKENS = [
    (subject, token, at) for subject in ("ada", "eve") for token in (None, "ada", "joe") for at in (None, 0, 3, 9)
]


def concerns(one: Revocation, subject: str, token_id: str | None, issued_at: float | None) -> bool:
    if one.token_id is not None:
        return one.token_id == token_id
    if one.subject != subject:
        return False
    return one.issued_before is None or issued_at is None or issued_at < one.issued_before


def agree(revocations: Revocations, known: list[Revocation]) -> None:
    assert len(revocations) == len(known)
    for token in TOKENS:
        assert revocations.refuses(*token) is any(concerns(one, *token) for one in known)


@given(REVOCATIONS, st.data())
def test_it_refuses_what_any_of_the_known_ones_refuses(made: list[Revocation], data: st.DataObject) -> None:
    revocations = Revocations()
    half = len(made) // 2
    assert revocations.replace(set(), made[:half]) == made[:half]
    agree(revocations, made[:half])
    before = revocations.ids()
    assert revocations.add(made) == made[half:], "only those that it did not know"
    agree(revocations, made)
    kept = [one for one in made if data.draw(st.booleans())]
    assert revocations.replace(before, kept) == []
    left = [one for one in made if one in kept or one.id not in before]
    agree(revocations, left)
    for one in made:
        assert revocations.lift(one.id) is (one in left)
    agree(revocations, [])
    revocations.add(made)
    assert revocations.forget_old(3.0) == len([one for one in made if one.until <= 3.0])
    agree(revocations, [one for one in made if one.until > 3.0])
