"""Palo Alto's own SDK at the Xpanse stand-in: `URL KEY_ID KEY KIND`; what it read, as JSON.

Runs in the witnesses' environment, and sees nothing of this repository.
"""

import json
import sys
from typing import Any

from xpanse.client import XpanseClient


class OnLoopback(XpanseClient):
    """The constructor takes names of tenants only, and puts `https://api-` in front of them."""

    def __init__(self, url: str, **more: Any) -> None:
        self._loopback = url
        super().__init__(url=url, **more)

    def _request(self, method: str, path: str, **kwargs: Any) -> Any:
        self._url = self._loopback
        return super()._request(method, path, **kwargs)


url, key_id, key, kind = sys.argv[1:]
client = OnLoopback(url, api_key_id=key_id, api_key=key, use_advanced_auth=kind == "advanced")
every = client.incidents.list().dump()
some = client.incidents.get(incident_ids=["71", "72", "999999"])
newest_first = client.incidents.list(
    request_data={"sort": {"field": "modification_time", "keyword": "desc"}, "search_to": 3}
).next()
resolved = client.incidents.list(
    request_data={"filters": [{"field": "status", "operator": "eq", "value": "resolved"}]}
).dump()
counted = client.incidents.count()
updated = client.incidents.update(
    incident_id="71",
    update_data={
        "status": "under_investigation",
        "manual_severity": "high",
        "comment": {"comment_action": "add", "value": "by the SDK"},
    },
)
refused = client.incidents.update(incident_id="71", update_data={"status": "no such status"})
json.dump(
    {
        "every": [each["incident_id"] for each in every],
        "some": [each["incident_id"] for each in some.data],
        "newest": [each["modification_time"] for each in newest_first],
        "resolved": sorted({each["status"] for each in resolved}),
        "counted": counted.data,
        "updated": [updated.response.status_code, updated.response.json()],
        "refused": [refused.response.status_code, refused.response.json()],
    },
    sys.stdout,
)
