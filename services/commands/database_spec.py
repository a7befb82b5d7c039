"""What the database of the orders is like once it is prepared: its indexes, its validator, and its sample orders."""

from pymongo import ASCENDING, IndexModel

from services.common.order_indexes import INDEXES as ORDER_INDEXES
from services.common.revocation_document import CHANGED_AT, UNTIL

INDEXES = [
    IndexModel(index.keys, name=index.name, **({"partialFilterExpression": index.only} if index.only else {}))
    for index in ORDER_INDEXES
]

# A revocation is removed when it ends; gateways look twice a second for those that have changed.
REVOCATION_INDEXES = [
    IndexModel([(UNTIL, ASCENDING)], name="revocations_end", expireAfterSeconds=0),
    IndexModel([(CHANGED_AT, ASCENDING)], name="revocations_changed"),
]

# Other programs write orders too, and theirs are shown as they are: the validator only warns in the server's log.
VALIDATOR = {
    "$jsonSchema": {
        "title": "Order of Real-time Orders",
        "bsonType": "object",
        "required": ["customer_name", "product_name", "status", "updated_at"],
        "properties": {
            "customer_name": {"bsonType": "string", "minLength": 1, "maxLength": 200},
            "product_name": {"bsonType": "string", "minLength": 1, "maxLength": 200},
            "status": {"enum": ["pending", "shipped", "delivered"]},
            "updated_at": {"bsonType": "date"},
        },
    }
}

SAMPLES = [
    ("Ada Lindqvist", "Walnut desk", "pending"),
    ("Bruno Okafor", "Espresso machine", "shipped"),
    ("Chiara Novak", "Trail running shoes", "delivered"),
    ("Daniel Mbeki", "Mechanical keyboard", "pending"),
    ("Elif Sørensen", "Noise-cancelling headphones", "shipped"),
    ("Farid Castillo", "Cast-iron pan", "delivered"),
    ("Greta Yamamoto", "Bicycle lights", "pending"),
    ("Hugo Andersson", "Two-person tent", "shipped"),
    ("Ines Kowalski", "Watercolour set", "delivered"),
    ("Jonas Adeyemi", "Graphics tablet", "pending"),
]
