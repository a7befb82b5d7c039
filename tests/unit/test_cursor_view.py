"""A cursor is good for the rights with which it was given, and whoever has all orders sees nothing of that."""

import pytest

from services.common.cursor import Cursor, Position
from services.common.visible_fields import ALL_FIELDS
from services.gateway.audience import Rights, view_of
from services.gateway.edge.principal import Principal, Scope
from services.gateway.filters import EVERYTHING, NOTHING, Filter, to_text
from services.gateway.live.connect_request import parse_connect
from services.gateway.recovery import SessionIds
from services.gateway.subscription import ResyncReason

OF_ADA: Rights = frozenset({Filter(customer_name=("Ada",))})
OF_BOTH: Rights = frozenset({Filter(customer_name=("Ada", "Eve")), Filter(status=("shipped",))})
ALL_RIGHTS = (EVERYTHING, NOTHING, OF_ADA, OF_BOTH)
PLACE = Position(7, 0)


def reader(rights: Rights) -> Principal:
    return Principal("ada", frozenset({Scope.READ}), rights, None)


def test_the_view_is_the_same_in_every_process_and_release() -> None:
    """Replicas of two releases may serve the same clients; and a cursor may be stored for days."""
    assert [view_of(rights) for rights in ALL_RIGHTS] == ["", "pgkr7of2", "likywjyx", "ygzlajq5"]


@pytest.mark.parametrize("then", ALL_RIGHTS)
@pytest.mark.parametrize("now", ALL_RIGHTS)
def test_a_socket_resumes_with_the_rights_that_its_cursor_was_given_for(then: Rights, now: Rights) -> None:
    ids = SessionIds("the secret")
    cursor = Cursor("e1", PLACE, view_of(then))
    wanted = frozenset({Filter(status=("pending",))})
    recovery = {"pid": ids.issue("ada"), "offset": f"{cursor}~{to_text(wanted)}"}
    for auth in ({"since": str(cursor)}, recovery):
        request = parse_connect(auth, ids, ALL_FIELDS, reader(now))
        if then == now:
            assert (request.since, request.reason) == (cursor, None)
        else:
            assert (request.since, request.pid, request.reason) == (None, None, ResyncReason.RIGHTS_CHANGED)
        assert request.interest == (wanted if auth is recovery else EVERYTHING), "what it follows is not forgotten"
