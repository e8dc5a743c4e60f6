"""Labels, meanings and help texts of the receiver dialog."""

from __future__ import annotations

from engine.model.receiver import ROUTING_FIELDS

MEANINGS = {
    "direct_archive": (
        "off: objects wait in the prearchive",
        "on: objects go straight to the archive",
    ),
    "direct_archive_append": (
        "off: overwrite duplicate files",
        "on: skip duplicate files",
    ),
    "anonymization": (
        "off: all that identifies patients is stored",
        "on: the site script runs on receipt",
    ),
    "custom_processing": (
        "off: no processors run",
        "on: installed processors run on each object",
    ),
    "whitelist_enabled": ("off: every caller is accepted", ""),
    "routing_enabled": (
        "off: the identifier decides",
        "on: tried before the identifier",
    ),
    "storage_commitment": (
        "off: senders are not told what is safe",
        "on: senders may ask what is safe here",
    ),
    "tls_enabled": (
        "off: callers connect without encryption",
        "on: callers must speak TLS 1.2 or newer",
    ),
    "tls_client": (
        "off: callers are not asked for a certificate",
        "on: callers must show one of these authorities",
    ),
}

NO_APPEND = ("off: no effect, the site has it off", "on: no effect, the site has it off")
"""What append-only mode means while the site does not let receivers add to archived sessions."""
NO_SCRIPT = "on: no script in force; stored as received"
"""What the switch of anonymization means then."""
PROJECT_SCRIPTS = "on: the scripts of projects run on archiving"
"""What it means if only projects anonymize."""

LABELS = {
    "ae_title": "AE Title",
    "port": "Port",
    "identifier": "Identifier",
    "direct_archive": "Direct Archive",
    "direct_archive_append": "Direct Archive Append-Only Mode",
    "anonymization": "Anonymization",
    "custom_processing": "Custom Processing",
    "file_namer": "File namer",
    "whitelist_enabled": "Enable Whitelist",
    "whitelist": "Whitelist",
    "caller_ae_title": "Try a caller",
    "caller_address": "from",
    "routing_enabled": "Enable Receiver-Specific Routing Expressions",
    "project_routing": "Project Routing Expression",
    "subject_routing": "Subject Routing Expression",
    "session_routing": "Session Routing Expression",
    "advanced": "Advanced",
    "bind_address": "Bind address",
    "duplicates": "Duplicates",
    "storage_commitment": "Commitment",
    "tls_enabled": "TLS",
    "tls_certificate": "Certificate",
    "tls_key": "Private key",
    "tls_ca": "Authorities",
    "tls_crl": "Revocations",
    "tls_client": "Ask callers",
    "associations_per_receiver": "Associations",
    "idle_seconds": "Idle seconds",
    "message_seconds": "Message seconds",
    "pdu_bytes": "PDU size",
    "data_set_bytes": "Data set size",
}

_ROUTING_HELP = r"""One rule per line, tried from top to bottom:

  (gggg,eeee):pattern:group
  (gggg,eeee):pattern:group t:text r:replacement

The pattern must match the whole value of that element. The
group says which parenthesis is taken; it is 1 if left out,
and 0 takes the whole match. t and r replace inside it.

  (0010,4000):.*Project:\s*([\w-]+).*:1
  (0010,0020):([^_]+)_.*:1     S0042_T1 gives S0042
  (0008,0060):(.*) t:MR r:PET  MR gives PET"""

_CALLER_HELP = """Says whether a caller would be admitted, and by which line.
Nothing is sent and nothing is saved.

  AE title  MR_SKYRA     from  10.4.7.21"""

HELP = {
    "ae_title": """The name that senders call, their "called AE title".
1 to 16 printable ASCII characters without a backslash;
upper and lower case differ, as on the network.

  XNAT        CT_INTAKE        Research 2

Several receivers may share a port if their AE titles
differ, and one AE title may be used on several ports.""",
    "port": """The TCP port that senders connect to; 8104 is usual.

Receivers may share a port. The state beside the port is
what a probe saw; only listening itself decides. ctrl+t
probes again.""",
    "identifier": """Decides from an object's header to which project,
subject and session it belongs.

Identifiers marked "routing –" don't support routing rules
of a receiver; choosing one hides them. Some ask for more,
in fields below. One marked ✗ is broken or not installed
here; a receiver with it does not listen, and this shows
what is wrong:

  dicomdock plugins

Built-in ones that no receiver uses are not listed, unless
the site settings (screen 6) offer all identifiers.""",
    "direct_archive": """Off: objects wait in the prearchive until somebody, or
the project's setting, archives them.

On: they are written straight to the archive.""",
    "direct_archive_append": """For objects that arrive after their session was archived.
They wait in the prearchive until no more come, and are
then added to the archived session, whatever their
project's setting is. An object that is there already is

  off   replaced; the old file goes to the trash
  on    skipped; the new file goes to the trash

An identical object is never stored twice. A session of
another subject, study or modality ends in CONFLICT.

While the site has "Direct append" off (screen 6), this
has no effect: objects wait in the prearchive, or follow
their project's setting.""",
    "anonymization": """On: the site's script and profile run when an object
arrives, before it is stored; what they can't edit is
refused. Those of its project run before it is archived.
Where none is in force, objects stay as received.

Off: none of them runs for what this receiver takes in.

  dicomdock site set --script FILE --script-enabled
  dicomdock projects edit ID --anonymization-script FILE
                             --script-enabled""",
    "file_namer": """Which template makes the names of files. Without a choice it is
the site's own. Other distributions add further ones; a name that is taken
already is made different, so that no file is ever overwritten.""",
    "custom_processing": """On: the installed processors see each object before it
is stored; they may change or drop it.""",
    "whitelist_enabled": """Off: every caller is accepted.

On: only callers that a line below names are accepted;
without any line that is nobody. The lines are kept while
the whitelist is off.""",
    "whitelist": """A caller is accepted if any line lets it in.

  MR_PRISMA              this AE title from any address
  10.4.1.9               any AE title from this address
  10.4.0.0/16            any AE title from this network
  MR_PRISMA@2001:db8::/32

With TLS, the caller's certificate may be asked for too,
by its fingerprint (#sha256:), a DNS name or IP address in
it (#san:), or other names (#san-uri:, #san-email:):
  MR_PRISMA@10.4.0.0/16#san:mr1.hospital.example

Upper and lower case differ in AE titles. Host names are
not looked up. Repeated and blank lines don't matter.""",
    **dict.fromkeys(("caller_ae_title", "caller_address"), _CALLER_HELP),
    "routing_enabled": """Off: the identifier alone decides where objects belong.

On: the rules below are asked first. They are kept while
routing is off.""",
    **dict.fromkeys(ROUTING_FIELDS, _ROUTING_HELP),
    "advanced": """The address to listen on, TLS, and limits that this receiver
has of its own. Enter or space opens and closes them.""",
    "bind_address": """The local address to listen on. Empty means the site's,
and if the site has none, all addresses, IPv4 and IPv6.

  10.4.0.5        2001:db8::5        127.0.0.1

Receivers that share a port share its address too, or each
names one of its own.""",
    "duplicates": """What becomes of a SOP instance that is there already with
other content. An identical one is never stored twice.

  keep      both are kept, and its row says so
  replace   the newcomer takes its place, as long as the
            session is being received
  reject    the newcomer is refused with 0x0111""",
    "storage_commitment": """On: senders may ask for storage commitment (PS3.4
annex J) and delete what the receiver has committed to.

A sender that closes its association after the request must
be a known peer: dicomdock peers add""",
    "tls_enabled": """On: callers must speak TLS 1.2 or 1.3, with the cipher
suites of BCP 195; a usual port is 2762.

Receivers that share a port need the same TLS settings.
To change them there, disable the others first.""",
    "tls_certificate": """A PEM file with the certificate that callers see, and
behind it those of intermediate authorities.

  /etc/dicomdock/certificate.pem

The files may be replaced while receivers listen: the next
caller sees the new certificate, open associations go on.
If they don't fit together, the old ones stay in force.""",
    "tls_key": """A PEM file with the certificate's private key, without a
passphrase, that only the user of dicomdock can read.

  /etc/dicomdock/key.pem""",
    "tls_ca": """A PEM file with the authorities whose certificates
callers may show; the operating system's don't count.

A single device's own certificate may be in it, too. It
is trusted as itself: what it signs is not accepted.

  /etc/dicomdock/ca.pem""",
    "tls_crl": """A PEM file with revocation lists (CRLs) of the authorities.
Empty: none are asked for.

With a file, a caller gets a connection only if a valid
list of its authority is there and does not name its
certificate. A list that has expired keeps callers out;
a warning comes when a quarter of its time is left. The
file may be replaced while receivers listen.

  /etc/dicomdock/crl.pem""",
    "tls_client": """On: a caller without a valid certificate of one of the
authorities gets no connection. That makes an AE title
more than a name: whitelist lines may ask for a
certificate.

Off: callers are not asked for a certificate.""",
    "associations_per_receiver": """How many associations may be open to this receiver at
once; one more is rejected for the moment.""",
    "idle_seconds": """An association on which nothing arrives for this long is
aborted.""",
    "message_seconds": """How long one message, an object for example, may take
from its first byte to its last.""",
    "pdu_bytes": """The longest PDU that senders may send. Larger ones are
faster on long lines and take more memory.

  64 KiB""",
    "data_set_bytes": """The largest object that is taken; the association of a
larger one is aborted.

  4 GiB""",
}
