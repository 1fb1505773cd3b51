"""Texts that several tests need."""

PLAUSIBLE_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MBQCAQECAQICAQMCAQQCAQUCAQYCAQ==
-----END CERTIFICATE-----
"""
"""One whole DER value, though no certificate."""

PLAUSIBLE_KEY = """\
-----BEGIN PRIVATE KEY-----
MAUCAQACAQ==
-----END PRIVATE KEY-----
"""

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBeDCCAR2gAwIBAgIUIB0y5UEJacYNA8EA4j7wtbxOrbUwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFbmV0dHkwIBcNMjYxMTIzMDQ1ODUxWhgPMjEyNjEwMzAwNDU4
NTFaMBAxDjAMBgNVBAMMBW5ldHR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
8hpQDXIiGxT5KUsB6GIxzfRjgkNvbeD+zrAoHufaRny5HM0q9A1Fg1tCbc2BTKkw
yyxu0EWxydnKrP6+vT5gKqNTMFEwHQYDVR0OBBYEFP/bcrCnwHFNBNtSCN4qLcst
nFVaMB8GA1UdIwQYMBaAFP/bcrCnwHFNBNtSCN4qLcstnFVaMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAPcKVCGBhr/9rmMmxLS2qfBNoVFnMAD2
FCKCvjHGznG3AiEAonYXyCoweNazjX22Wg/6x6pklRCSCOz80rzSbFV37IU=
-----END CERTIFICATE-----
"""
"""A certificate that signs itself, of a key that protects nothing."""

KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgizTkROLmNT3PnnE6
YOUkPhjkY4CkM5sVODtABR/ZAL2hRANCAATyGlANciIbFPkpSwHoYjHN9GOCQ29t
4P7OsCge59pGfLkczSr0DUWDW0JtzYFMqTDLLG7QRbHJ2cqs/r69PmAq
-----END PRIVATE KEY-----
"""

ANOTHER_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIULKVb6Jcpyf5qm94dsK88klfjX1swCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHYW5vdGhlcjAgFw0yNjExMjMwNTA2MzhaGA8yMTI2MTAzMDA1
MDYzOFowEjEQMA4GA1UEAwwHYW5vdGhlcjBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABN2rdim4ASE5wNWldkWHcyzopKMWsAheS2RNgG/QPX0QxkTbKjq7Fcc8WrSS
jo/OEpGfvFGoqil6ZyptGh5Oo0qjUzBRMB0GA1UdDgQWBBR+QZmSWE/TAbT6nQSH
MeUAPa8GSzAfBgNVHSMEGDAWgBR+QZmSWE/TAbT6nQSHMeUAPa8GSzAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIFFnnYdNM92yBqO8Db5hqy2y5ydX
TONBBu10V/UuvmKMAiEAx9RGb8M7PEMax2GGIfqbQqHjOTLVGCSCGxdO4c7RP+4=
-----END CERTIFICATE-----
"""

ANOTHER_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUsVoSoZoPFxsFjZG
sONYQSEVq8ZlG+VjPojxQlTQjpyhRANCAATdq3YpuAEhOcDVpXZFh3Ms6KSjFrAI
XktkTYBv0D19EMZE2yo6uxXHPFq0ko6PzhKRn7xRqKopemcqbRoeTqNK
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
{PLAUSIBLE_CERTIFICATE}{PLAUSIBLE_CERTIFICATE}'''
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
