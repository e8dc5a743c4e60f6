"""Labels, locations and help texts of the processor dialog."""

from __future__ import annotations

from engine.model.processor import Location

LABELS = {
    "label": "Label *",
    "processor_class": "Class *",
    "enabled": "Enabled",
    "location": "Location",
    "priority": "Priority",
    "receivers_allowed": "Only receivers",
    "receivers_denied": "Not receivers",
    "projects": "Only projects",
}

LOCATION_WORDS = {
    Location.AFTER_DICOM_READ: "header read, nothing assigned yet",
    Location.AFTER_PROJECT_SET: "project known, labels not yet",
    Location.AFTER_SESSION_CREATED: "labels settled, before anonymization",
    Location.AFTER_STORED: "the stored object, after the sender's success",
    Location.AFTER_SESSION_COMPLETE: "once per session that is built",
}

MEANINGS = {
    "enabled": ("off: it sees no object", "on: it acts from the next object on"),
}

HELP = {
    "label": """A name of its own, such as “Relabel CT”. Logs, the journal and
the reason of a rejected object name the processor by it.""",
    "processor_class": """What the processor does. Classes come with dicomdock and with
other distributions (plug-ins). What a class wants to know is asked below it.

A class that is broken or not installed is marked ✗; the panel Classes on the
Processors screen says what is wrong.""",
    "enabled": """Off: it stays in the configuration and sees no object.
On: it acts from the next object on, for receivers with custom processing.""",
    "location": """Where on an object's way it acts:

after_dicom_read       the header is read; project, subject and session are open
after_project_set      the project is known; what is written here is what labels
                       are derived from
after_session_created  labels are settled; what is written is only stored
after_stored           the object is in its file (Forward copy)
after_session_complete the session is built (Command)""",
    "priority": """At one location the smaller number acts first; with equal
numbers the older processor. 10 is usual. {processor.up} and {processor.down} on the
Processors screen move a processor up and down by writing other priorities.""",
    "receivers_allowed": """One receiver per line, AE:PORT, such as XNAT:8104.
Empty: the objects of every receiver with custom processing.""",
    "receivers_denied": """One receiver per line, AE:PORT. Their objects are
never seen, even if the receiver is named above.""",
    "projects": """One project per line, by id or alias. Empty: the objects of
every project, also those without one. Not asked at after_dicom_read, where no
project is known.""",
}
