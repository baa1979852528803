"""Prints the credentials that boto3 finds in the default chain."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import boto3  # noqa: E402

found = boto3.Session().get_credentials()
if found is None:
    sys.exit("no credentials found")
frozen = found.get_frozen_credentials()
print(json.dumps({"accessKeyId": frozen.access_key, "source": found.method, "expiration": found._expiry_time.isoformat()}))
