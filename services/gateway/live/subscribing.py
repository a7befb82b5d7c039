"""What a client asks for by `subscribe` and `unsubscribe`."""

from collections.abc import Sequence

from services.common.visible_fields import VisibleFields
from services.gateway.filters import EVERYTHING, NOTHING, Interest, InvalidFilter, parse_filter, union
from services.gateway.wire.socketio import Argument

_SNAPSHOT = "snapshot"  # in what a client subscribes to


def without_snapshot(name: str, args: Sequence[Argument]) -> tuple[Sequence[Argument], bool]:
    """Return the arguments without `snapshot`, and whether a `subscribe` had it: the client wants the orders, too."""
    if name != "subscribe" or not args or not isinstance(args[0], dict) or _SNAPSHOT not in args[0]:
        return args, False
    wanted = args[0][_SNAPSHOT]
    if not isinstance(wanted, bool):
        raise InvalidFilter("must be true or false", _SNAPSHOT)
    wanted_filter = {field: value for field, value in args[0].items() if field != _SNAPSHOT}
    return [wanted_filter or None, *args[1:]], wanted


def changed(interest: Interest, name: str, args: Sequence[Argument], visible: VisibleFields) -> Interest:
    """Return the interest after `subscribe(filter)`, `unsubscribe(filter)` or `unsubscribe()`."""
    wanted = parse_filter(args[0]) if args and args[0] is not None else None
    match name:
        case "subscribe":
            if wanted is None:
                return EVERYTHING
            return union({wanted} if interest == EVERYTHING else {*interest, wanted}, visible)
        case "unsubscribe":
            return NOTHING if wanted is None else interest - {wanted}
        case _:
            raise InvalidFilter(f"there is no event {name[:40]!r} here, only subscribe and unsubscribe")
