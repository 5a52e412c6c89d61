"""Under which uuids a server keeps the jobs that we named: ours, or its own behind some proxies."""

from __future__ import annotations

MOST_KEPT = 10_000  # jobs; the oldest are forgotten first


class TakenJobs:
    """The jobs that the server said it took, by the uuid that we sent with each.

    A proxy that takes X- headers away makes the server choose a uuid; then it neither refuses a call
    that comes twice nor knows the uuid that we sent.
    """

    def __init__(self) -> None:
        self._theirs: dict[str, str] = {}
        self._ours: bool | None = None

    def took(self, job: str, theirs: str) -> None:
        """The server took `job`, under the uuid `theirs`; "" where it did not say."""
        self._theirs[job] = theirs or job
        if len(self._theirs) > MOST_KEPT:
            del self._theirs[next(iter(self._theirs))]
        if theirs:
            self._ours = theirs == job and self._ours is not False

    def knows_ours(self) -> None:
        """The server answered for a job under the uuid that we sent."""
        self._ours = self._ours is not False

    def __contains__(self, job: str) -> bool:
        return job in self._theirs

    def theirs(self, job: str) -> str:
        """The uuid that the server keeps `job` under, as far as it told."""
        return self._theirs.get(job, job)

    @property
    def under_ours(self) -> bool | None:
        """Does the server keep jobs under our uuids? None where nothing was seen of it yet."""
        return self._ours
