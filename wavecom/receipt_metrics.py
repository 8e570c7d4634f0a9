"""Metrics of receipts: how many came, what they came to, how long after the message they came."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from prometheus_client import Counter, Gauge

from wavecom.core.receipt_counts import awaited_since
from wavecom.core.receipt_health import WindowCounts
from wavecom.core.receipt_processing import ProcessedReceipt, ReceiptResult
from wavecom.core.receipts import ReceiptKind
from wavecom.histograms import Histogram

_DELAY_BUCKETS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)

RECEIPTS = Counter(
    "wavecom_receipts_total",
    "Receipts by what they came to; known: nothing new; pending: kept, to be tried again; unmatched: given up.",
    ["provider", "kind", "result"],
)
INBOUND = Counter("wavecom_inbound_messages_total", "Messages of people to our numbers.", ["provider"])
REFUSED = Counter(
    "wavecom_receipts_refused_total", "Requests with receipts that were not signed rightly.", ["provider"]
)
UNREADABLE = Counter(
    "wavecom_receipts_unreadable_total",
    "Requests and parts of them that were signed rightly and can't be read.",
    ["provider"],
)
DELAY = Histogram(
    "wavecom_receipt_delay_seconds",
    "From when a provider took a message until it was reported delivered, or failed, for the first time.",
    ["provider", "kind"],
    buckets=_DELAY_BUCKETS,
)
GOOD_SHARE = Gauge(
    "wavecom_receipts_good_share",
    "Of the messages that should have a receipt by now, how many have a good one in time.",
    ["provider", "country"],
)
MEAN_DELAY = Gauge(
    "wavecom_receipts_mean_delay_seconds",
    "How long receipts of the messages of WAVECOM_RECEIPT_WINDOW_SECONDS took, failures aside.",
    ["provider", "country"],
)
WEIGHT_PERCENT = Gauge(
    "wavecom_provider_weight_percent", "What a provider's receipts leave of its weight in the file.", ["provider"]
)


def report_adjustment(window: Mapping[tuple[str, str], WindowCounts], factors: Mapping[str, int]) -> None:
    """Show what was found; ``wavecom.core.weight_adjustment.AdjustmentReport``."""
    GOOD_SHARE.clear()
    MEAN_DELAY.clear()
    WEIGHT_PERCENT.clear()
    for labels, counts in window.items():
        if counts.due.sent:
            GOOD_SHARE.labels(*labels).set(min(1.0, counts.due.good / counts.due.sent))
        if counts.mean_delay_seconds is not None:
            MEAN_DELAY.labels(*labels).set(counts.mean_delay_seconds)
    for provider, percent in factors.items():
        WEIGHT_PERCENT.labels(provider).set(percent)


def count_processed(processed: Sequence[ProcessedReceipt], now: datetime) -> None:
    """Count what became of receipts at ``now``. Never raises."""
    results = Tally((each.provider, each.receipt.kind.value, each.result.value) for each in processed)
    for labels, count in results.items():
        RECEIPTS.labels(*labels).inc(count)
    delays = [
        ((each.provider, each.receipt.kind.value), max(0.0, ((each.receipt.at or now) - taken.at).total_seconds()))
        for each in processed
        if each.result is ReceiptResult.APPLIED
        and each.receipt.kind in {ReceiptKind.DELIVERED, ReceiptKind.FAILED}
        and each.job is not None
        and (taken := awaited_since(each.job)) is not None
    ]
    if delays:
        DELAY.observe_many(delays)
