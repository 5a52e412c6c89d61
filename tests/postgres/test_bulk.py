"""What a bulk run promises on SQLite it promises on PostgreSQL: the very same tests, once more.

Plan and review, cancel and retry, undo, schedule and quiet window, drift, the file, show, approvals.
"""

from __future__ import annotations

from tests.e2e.test_bad_days import test_what_changed_between_review_and_submission_is_held_back
from tests.e2e.test_cut import test_more_tickets_than_one_call_takes_go_out_in_two
from tests.e2e.test_lanes import (
    test_bulk_runs_under_one_account_take_turns,
    test_who_cancels_in_line_stops_at_once_and_nothing_was_sent,
)
from tests.e2e.test_requests import (
    test_a_bulk_edit_is_reviewed_then_run_and_every_record_stands_in_the_file,
    test_a_rejection_has_a_reason_that_the_card_shows,
    test_a_request_can_be_shown_again_and_a_record_has_its_story,
    test_a_run_can_wait_for_its_time_and_be_cancelled,
    test_cancel_stops_after_the_calls_under_way_and_tells_what_was_done,
    test_more_than_500_records_need_somebody_else,
    test_rights_that_are_lost_meanwhile_stop_a_scheduled_run,
    test_the_quiet_window_of_policy_can_be_chosen,
    test_two_clicks_in_the_same_moment_have_one_winner,
    test_undo_brings_back_what_can_go_back_and_says_what_cannot,
    test_what_waits_is_reminded_of_and_expires,
    test_when_its_time_comes_it_is_checked_again_and_runs_once,
)

__all__ = [
    "test_a_bulk_edit_is_reviewed_then_run_and_every_record_stands_in_the_file",
    "test_a_rejection_has_a_reason_that_the_card_shows",
    "test_a_request_can_be_shown_again_and_a_record_has_its_story",
    "test_a_run_can_wait_for_its_time_and_be_cancelled",
    "test_bulk_runs_under_one_account_take_turns",
    "test_cancel_stops_after_the_calls_under_way_and_tells_what_was_done",
    "test_more_than_500_records_need_somebody_else",
    "test_more_tickets_than_one_call_takes_go_out_in_two",
    "test_rights_that_are_lost_meanwhile_stop_a_scheduled_run",
    "test_the_quiet_window_of_policy_can_be_chosen",
    "test_two_clicks_in_the_same_moment_have_one_winner",
    "test_undo_brings_back_what_can_go_back_and_says_what_cannot",
    "test_what_changed_between_review_and_submission_is_held_back",
    "test_what_waits_is_reminded_of_and_expires",
    "test_when_its_time_comes_it_is_checked_again_and_runs_once",
    "test_who_cancels_in_line_stops_at_once_and_nothing_was_sent",
]
