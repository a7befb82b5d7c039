"""Engine.IO 4: sessions over long-polling and websocket."""
