"""From the scores of windows to sounds with a start and an end, and files of them for other programs."""

from rankaudio.events._event_files import write_audacity, write_events, write_raven
from rankaudio.events._events import Event, events

__all__ = ["Event", "events", "write_audacity", "write_events", "write_raven"]
