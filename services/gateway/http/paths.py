"""The addresses of the API that more than one route or check must know."""

COLLECTION = "/api/orders"
ORDER = COLLECTION + "/{id:(?!events$)[^/]+}"  # not the stream of events, which has other methods
STREAM = COLLECTION + "/events"
TICKETS = "/api/tickets"
ADMIN = "/api/admin/"  # what is below it needs the scope for operators
DOCS = "/api/docs"
