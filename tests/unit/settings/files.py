"""Texts that several tests need."""

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MBQCAQECAQICAQMCAQQCAQUCAQYCAQ==
-----END CERTIFICATE-----
"""
"""One whole DER value: plausible, though no certificate."""

KEY = """\
-----BEGIN PRIVATE KEY-----
MAUCAQACAQ==
-----END PRIVATE KEY-----
"""

PASSWORD = f"scrypt$16384$8$5${'b' * 22}${'c' * 43}"
TOKEN = f"sha256${'d' * 43}"

WHOLE = f"""\
# Everything, none of it as by default. 日本語のコメント
revision = 7

[box]
name = "検査室 2"
language = "en"
timezone = "Europe/Berlin"
serials = ["A-1", "A-2"]

[network]
dhcp = false
address = "192.0.2.1/24"
gateway = "192.0.2.254"
dns = ["192.0.2.53"]
ntp = ["192.0.2.123", "ntp.example.org"]
vlan = 20
interface = "eth1"

[panel]
password = "{PASSWORD}"
token = "{TOKEN}"
certificate = '''
{CERTIFICATE}'''
key = '''
{KEY}'''
allow_from = ["192.0.2.0/24"]

[update]
url = "https://updates.example/netty.raucb"
while_receiving = true

[fleet]
server = "https://hawkbit.example:8443"
token = "abc"
tenant = "CLINICS"

[ae]
title = "NETTY_2"
port = 11112
address = "192.0.2.1"
max_pdu = "64 KiB"
profile = "strict"
unsolicited = "store"
associations_per_remote = 4
stall = "90 s"
largest_header = "8 MiB"

[tls]
certificate = '''
{CERTIFICATE}'''
key = '''
{KEY}'''
authorities = '''
{CERTIFICATE}{CERTIFICATE}'''
port = 2763
require_certificate = false

[[remote]]
name = "main"
title = "PACS"
host = "192.0.2.10"
port = 11113
query = true
retrieve = "get"
relational = true
character_set = '\\ISO 2022 IR 87'
calls_as = ["PACS", "PACS_SCU"]  # two
calls_from = [
    "192.0.2.0/28",
    "pacs.example.org",  # and a name
    "2001:db8::/64",
]
tls = true

[[remote]]
name = "modality"
title = "CT 1"
host = "ct1"
query = false

[query]
every = "1 h"
use_accession = true
study_window = "30 days"
timeouts = {{ association = "5 s", response = "10 s", total = "20 min" }}
settle = "0 s"
retry_first = "2 min"
retry_longest = "1 day"

[[watch]]
patient_id = "00012345"
pseudonym = "NET-0001"
accession = "A1"
since = 2025-04-01
remotes = ["main"]

[[watch]]
patient_id = "患者 7"

[images]
format = "png"
quality = 80
keep_dicom = false
deidentify = "clear"
workers = 3
animation = false
overlays = false
largest_frame = 100
most_frames = 5000

[storage]
reserve = "1.5 GiB"
keep_days = 400
quota = "2 TiB"
"""
