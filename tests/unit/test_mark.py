"""The `mark` that clients get which are shown only some of the changes."""

import pytest

from services.common.cursor import Cursor, Position
from services.gateway.audience import Audience, view_of
from services.gateway.filters import EVERYTHING, Filter, Interest
from services.gateway.group import Group, SentBytes, offset_suffix
from services.gateway.live.mark import encoded_mark
from services.gateway.wire import websocket
from services.gateway.wire.form import Form

CURSOR = Cursor("e1", Position(7, 0))
SHIPPED: Interest = frozenset({Filter(status=("shipped",))})
OF_ADA: Interest = frozenset({Filter(customer_name=("Ada",))})


def group(form: Form, interest: Interest, rights: Interest = EVERYTHING) -> Group:
    return Group(Audience(interest, rights), form, SentBytes())


@pytest.mark.parametrize("rights", [EVERYTHING, OF_ADA])
@pytest.mark.parametrize("interest", [EVERYTHING, SHIPPED])
def test_it_carries_the_position_and_what_a_client_recovers_with(interest: Interest, rights: Interest) -> None:
    cursor = str(CURSOR._replace(view=view_of(rights)))
    packet = f'42["mark",{{"cursor":"{cursor}"}},"{cursor}{offset_suffix(interest)}"]'.encode()
    assert encoded_mark(CURSOR, group(Form.POLLING, interest, rights)) == packet
    assert encoded_mark(CURSOR, group(Form.WEBSOCKET, interest, rights)) == websocket.text_frame(packet)
