#!/usr/bin/env python3
"""Writes grafana/dashboards/*.json. Each panel answers the question in its title; the money comes first.

    dashboards.py            writes the files
    dashboards.py --check    fails if a file differs from what would be written

The dashboards are data below; edit them here, not in Grafana. Every dashboard has the variable `instance`.
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent / "grafana" / "dashboards"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24

SEL = 'instance=~"$instance"'


def q(expr, legend=""):
    """One query of a panel."""
    return expr, legend


def panel(kind, title, queries, unit="short", why="", width=8, height=7, red_above=None):
    return dict(
        kind=kind, title=title, queries=queries, unit=unit, why=why, width=width, height=height, red_above=red_above
    )


def stat(title, expr, unit="short", why="", red_above=None, width=6):
    return panel("stat", title, [q(expr)], unit, why, width, 4, red_above)


def graph(title, *queries, unit="short", why="", width=8, red_above=None):
    return panel("timeseries", title, list(queries), unit, why, width, 7, red_above)


def zero(title, expr, why):
    """A closing identity: anything but 0 for longer than a relay takes is a fault."""
    return panel("stat", title, [q(expr)], "none", why + " Must be 0 once the relays under way are done.", 8, 4, 0)


def quantiles(metric, by=""):
    grouped = f"le, {by}" if by else "le"
    label = f"{{{{{by}}}}} " if by else ""
    return [
        q(
            f"histogram_quantile({at}, sum by ({grouped}) (rate({metric}_bucket{{{SEL}}}[$__rate_interval])))",
            f"{label}{name}",
        )
        for at, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
    ]


SERVICER = {
    "uid": "portico-servicer",
    "title": "Portico servicer: is the work paid?",
    "job": "servicer_block_height",
    "rows": [
        (
            "Money",
            [
                stat(
                    "What was settled in this range?",
                    f"sum(increase(servicer_settled_upokt_total{{{SEL}}}[$__range]))",
                    why="upokt that the chain settled for our claims, before it is divided among owner, supplier and others.",
                ),
                stat(
                    "What is claimed and waits for settlement?",
                    f"sum(servicer_claimed_upokt_total{{{SEL}}}) - sum(servicer_settled_upokt_total{{{SEL}}})",
                    why="upokt of claims that the chain accepted since the process began, less what was settled. It returns to 0 after "
                    "each proof window; what stays is lost to expired or reduced claims.",
                ),
                stat(
                    "How many sessions expired unpaid?",
                    f'sum(servicer_sessions{{{SEL},stage="expired"}}) or 0 * sum(servicer_sessions{{{SEL}}})',
                    why="Sessions among those still kept whose claim or proof missed its window. Their relays are lost.",
                    red_above=0,
                ),
                stat(
                    "What share of answers was for nothing?",
                    f"sum(increase(servicer_served_unpaid_total{{{SEL}}}[$__range])) / "
                    f'sum(increase(servicer_relays_total{{{SEL},outcome="served"}}[$__range]))',
                    unit="percentunit",
                    why="Answers that leave without a leaf: reasons in the panel below.",
                    red_above=0.05,
                ),
                graph(
                    "How much is claimed and settled?",
                    q(f"sum by (instance) (increase(servicer_claimed_upokt_total{{{SEL}}}[$__rate_interval]))", "claimed {{instance}}"),
                    q(f"sum by (instance) (increase(servicer_settled_upokt_total{{{SEL}}}[$__rate_interval]))", "settled {{instance}}"),
                    why="upokt per interval.",
                    width=12,
                ),
                graph(
                    "Which answers were for nothing, and why?",
                    q(f"sum by (reason) (rate(servicer_served_unpaid_total{{{SEL}}}[$__rate_interval]))", "{{reason}}"),
                    unit="reqps",
                    why="backend_error: the node failed. over_serviced: the application's budget is used up. difficulty: not drawn at the "
                    "service's difficulty, whose leaves stand for it. duplicate: the same relay again.",
                    width=12,
                ),
            ],
        ),
        (
            "Closing identities: each must be 0",
            [
                zero(
                    "served = recorded + for nothing",
                    f'sum(servicer_relays_total{{{SEL},outcome="served"}}) - sum(servicer_leaves_total{{{SEL}}}) - '
                    f"(sum(servicer_served_unpaid_total{{{SEL}}}) or 0 * sum(servicer_leaves_total{{{SEL}}}))",
                    "Every answer is a leaf on disk or has a reason.",
                ),
                zero(
                    "served = over all transports",
                    f'sum(servicer_relays_total{{{SEL},outcome="served"}}) - sum(servicer_served_total{{{SEL}}})',
                    "Every answer came over a transport.",
                ),
                zero(
                    "unary = timed",
                    f'sum(servicer_served_total{{{SEL},transport="unary"}}) - sum(servicer_relay_seconds_count{{{SEL}}})',
                    "Every answer but those of streams and WebSockets is in the histogram of durations.",
                ),
                zero(
                    "no claim or proof is late, no claim foreign",
                    f"sum(servicer_deadlines_near_total{{{SEL}}}) + sum(servicer_foreign_claims_total{{{SEL}}})",
                    "Claims and proofs that the chain did not have two blocks before their window closed; claims that another process with "
                    "the same key made.",
                ),
                zero(
                    "no leaf is damaged",
                    f"sum(servicer_damaged_leaves_total{{{SEL}}})",
                    "Leaves that were not on disk as they were written when their session was sealed, and so were left out of its claim.",
                ),
                zero(
                    "no claim is held back",
                    f"sum(servicer_claims_withheld_total{{{SEL}}})",
                    "Claims that were due and not sent. unfunded: the supplier's account cannot pay for them and their proofs. unprofitable: they "
                    "cost more than they are worth.",
                ),
                zero(
                    "no claim or proof is refused",
                    f'sum(servicer_transactions_total{{{SEL},outcome="refused"}})',
                    "Transactions that the chain did not take; what is not taken before its window closes is not paid.",
                ),
            ],
        ),
        (
            "Claims, proofs and deadlines",
            [
                graph(
                    "Are the suppliers in order?",
                    q(f"sum by (alarm) (servicer_supplier_alarms{{{SEL}}})", "{{alarm}}"),
                    why="Suppliers with an alarm; /ready and the log name them.",
                    red_above=0,
                ),
                graph(
                    "What do the suppliers hold?",
                    q(f"servicer_supplier_balance_upokt{{{SEL}}}", "balance of {{supplier}}"),
                    q(f"servicer_supplier_stake_upokt{{{SEL}}}", "stake of {{supplier}}"),
                    why="In upokt. The balance pays for claims and proofs; a stake below the network's least is unstaked.",
                ),
                graph(
                    "Where are the sessions on their way?",
                    q(f"sum by (stage) (servicer_sessions{{{SEL}}})", "{{stage}}"),
                    why="open, draining, sealed, claim_sent, claim_on_chain, proof_required, proof_sent, proof_on_chain, settled, expired.",
                ),
                graph(
                    "Are claims and proofs accepted?",
                    q(
                        f"sum by (kind, outcome) (increase(servicer_transactions_total{{{SEL}}}[$__rate_interval]))",
                        "{{kind}} {{outcome}}",
                    ),
                    why="Transactions per interval. refused means that a claim or proof has to go once more before its window closes.",
                ),
                graph(
                    "Is the chain followed?",
                    q(f"servicer_block_height{{{SEL}}}", "height {{instance}}"),
                    why="Newest block that was taken into account. A flat line means that nothing is claimed or proved.",
                ),
            ],
        ),
        (
            "Relays and backends",
            [
                graph(
                    "How are relay requests answered?",
                    q(f"sum by (outcome) (rate(servicer_relays_total{{{SEL}}}[$__rate_interval]))", "{{outcome}}"),
                    unit="reqps",
                    why="served, or the name of the refusal.",
                ),
                graph("How long does a relay take?", *quantiles("servicer_relay_seconds"), unit="s"),
                graph("How long do the backends take?", *quantiles("servicer_backend_seconds"), unit="s"),
            ],
        ),
        (
            "The nodes behind it",
            [
                graph(
                    "Which nodes may be asked?",
                    q(f"min by (service, backend, node) (servicer_backend_usable{{{SEL}}})", "{{service}} {{backend}} {{node}}"),
                    why="1: relays may go there. 0: it is behind, syncing, forked, of another chain, or failed too often.",
                    width=6,
                ),
                graph(
                    "How do nodes answer?",
                    q(
                        f"sum by (service, node, outcome) (rate(servicer_backend_requests_total{{{SEL}}}[$__rate_interval]))",
                        "{{service}} {{node}} {{outcome}}",
                    ),
                    unit="reqps",
                    width=6,
                ),
                graph(
                    "Why are nodes left?",
                    q(
                        f"sum by (service, node, reason) (increase(servicer_backend_left_total{{{SEL}}}[$__rate_interval])) or "
                        f"0 * sum by (service, node) (servicer_backend_usable{{{SEL}}})",
                        "{{service}} {{node}} {{reason}}",
                    ),
                    width=6,
                ),
                graph(
                    "Which services and classes of methods are busy, which full?",
                    q(f"sum by (service, class) (servicer_service_in_flight{{{SEL}}})", "{{service}} {{class}} in progress"),
                    q(
                        f"sum by (service, class) (rate(servicer_service_full_total{{{SEL}}}[$__rate_interval])) or "
                        f"0 * sum by (service, class) (servicer_service_in_flight{{{SEL}}})",
                        "{{service}} {{class}} refused per s",
                    ),
                    width=6,
                ),
            ],
        ),
        (
            "WebSockets and streams",
            [
                graph(
                    "How many are open?",
                    q(f"sum by (instance) (servicer_websockets{{{SEL}}})", "WebSockets {{instance}}"),
                    q(f"sum by (instance) (servicer_streams{{{SEL}}})", "streams {{instance}}"),
                ),
                graph(
                    "Over which transports are relays served?",
                    q(f"sum by (transport) (rate(servicer_served_total{{{SEL}}}[$__rate_interval]))", "{{transport}}"),
                    q(f"sum(rate(servicer_stream_messages_total{{{SEL}}}[$__rate_interval]))", "messages of streams"),
                    unit="reqps",
                    why="A message of a WebSocket is a relay and a leaf; a stream is one, however many messages it has.",
                ),
                graph(
                    "How did they end?",
                    q(
                        f"sum by (reason) (increase(servicer_streams_ended_total{{{SEL}}}[$__rate_interval])) or "
                        f"0 * sum(servicer_streams{{{SEL}}})",
                        "stream {{reason}}",
                    ),
                    q(
                        f"sum by (reason) (increase(servicer_websockets_closed_total{{{SEL}}}[$__rate_interval])) or "
                        f"0 * sum(servicer_websockets{{{SEL}}})",
                        "WebSocket {{reason}}",
                    ),
                    why="complete and client_gone are the usual ends of streams. backend_gone and idle are the node's doing, too_large and no_room "
                    "your bounds'.",
                ),
            ],
        ),
        (
            "Disk, chain and connections",
            [
                graph("How long does a commit take?", *quantiles("servicer_commit_seconds"), unit="s", width=6,
                      why="The disk's part of a relay."),
                graph(
                    "How many leaves share a commit?",
                    q(
                        f"sum(rate(servicer_commit_leaves_sum{{{SEL}}}[$__rate_interval])) / "
                        f"sum(rate(servicer_commit_leaves_count{{{SEL}}}[$__rate_interval]))",
                        "leaves per commit",
                    ),
                    width=6,
                ),
                graph(
                    "How much room is on the disk?",
                    q(f"min by (instance) (servicer_disk_free_bytes{{{SEL}}})", "free {{instance}}"),
                    q(f"sum by (instance) (servicer_log_file_bytes{{{SEL}}})", "leaf log {{instance}}"),
                    q(f"sum by (instance) (servicer_log_leaf_bytes{{{SEL}}})", "leaves {{instance}}"),
                    unit="bytes",
                    width=6,
                    why="Below 32 MiB relays are refused. What its leaves do not need of the leaf log is used again, and given back by `portico servicer store compact`.",
                ),
                zero(
                    "Refusals by the disk",
                    f"sum(servicer_disk_refuses{{{SEL}}})",
                    "Servicers that refuse relays because their disk is full or fails; claims and proofs go on.",
                ),
                graph(
                    "How often is the chain asked for a session?",
                    q(f"sum by (instance) (rate(servicer_session_lookups_total{{{SEL}}}[$__rate_interval]))", "{{instance}}"),
                    unit="reqps",
                    width=6,
                ),
                graph(
                    "Who is connected, who is refused?",
                    q(f'sum by (listener) (portico_listener_connections{{{SEL},listener="relays"}})', "{{listener}}"),
                    q(
                        f'sum by (listener, reason) (rate(portico_listener_refused_total{{{SEL},listener="relays"}}[$__rate_interval]))',
                        "{{listener}}: {{reason}} per s",
                    ),
                    width=6,
                ),
            ],
        ),
    ],
}

# Outcomes that are the caller's own doing.
CALLERS = "invalid_request|parse_error|unknown_service|batch_too_large|body_too_large|unauthorized|rpc_type_unsupported|unsupported_encoding|client_gone"

GATEWAY = {
    "uid": "portico-gateway",
    "title": "Portico gateway: are calls answered, and who fails?",
    "job": "gateway_relays_in_flight",
    "rows": [
        (
            "Calls that are paid for",
            [
                stat(
                    "How many relays did we pay for in this range?",
                    f'sum(increase(gateway_relays_total{{{SEL},outcome="ok"}}[$__range]))',
                    why="Verified answers. Each burns its compute units from an application's stake.",
                ),
                stat(
                    "Which share of calls is answered?",
                    f'sum(increase(gateway_relays_total{{{SEL},outcome="ok"}}[$__range])) / '
                    f'sum(increase(gateway_relays_total{{{SEL},outcome!~"{CALLERS}"}}[$__range]))',
                    unit="percentunit",
                    why="Of the calls that were well formed and whose caller stayed.",
                ),
                stat(
                    "How many calls found no stake?",
                    f'sum(increase(gateway_relays_total{{{SEL},outcome="stake_exhausted"}}[$__range])) or 0 * sum(gateway_relays_in_flight{{{SEL}}})',
                    why="The application's stake does not pay for more in this session: stake more, or spread over applications.",
                    red_above=0,
                ),
                stat("How many calls are under way?", f"sum(gateway_relays_in_flight{{{SEL}}})"),
                graph(
                    "How are calls answered?",
                    q(f"sum by (outcome) (rate(gateway_relays_total{{{SEL}}}[$__rate_interval]))", "{{outcome}}"),
                    unit="reqps",
                    width=12,
                    why="ok, or the reason of the error; GET /errors/REASON at the gateway explains each.",
                ),
                graph(
                    "Which services are called?",
                    q(f"sum by (service) (rate(gateway_relays_total{{{SEL}}}[$__rate_interval]))", "{{service}}"),
                    unit="reqps",
                    width=12,
                ),
            ],
        ),
        (
            "Closing identities: each must be 0",
            [
                zero(
                    "answered = timed",
                    f'sum(gateway_relays_total{{{SEL},outcome="ok"}}) - sum(gateway_relay_duration_seconds_count{{{SEL}}})',
                    "Every verified answer is in the histogram of durations.",
                ),
                zero(
                    "no answer fails to verify",
                    f'sum(gateway_supplier_failures_total{{{SEL},cause=~"signature|payload_hash|session_header"}}) or '
                    f"0 * sum(gateway_relays_in_flight{{{SEL}}})",
                    "A supplier that signs what it did not get, or does not sign: its answers are not handed on.",
                ),
                zero(
                    "no receipt is invalid",
                    f'sum(gateway_receipts_total{{{SEL},outcome="invalid"}}) or 0 * sum(gateway_relays_in_flight{{{SEL}}})',
                    "Receipts whose signature does not hold.",
                ),
            ],
        ),
        (
            "Speed and suppliers",
            [
                graph("How long does a call take?", *quantiles("gateway_relay_duration_seconds", "service"), unit="s", width=12,
                      why="From call to verified answer, with all attempts."),
                graph(
                    "Why do attempts at suppliers fail?",
                    q(f"sum by (cause) (rate(gateway_supplier_failures_total{{{SEL}}}[$__rate_interval]))", "{{cause}}"),
                    unit="reqps",
                    width=12,
                ),
            ],
        ),
        (
            "WebSockets and streams",
            [
                graph(
                    "How many are open?",
                    q(f"sum by (instance) (gateway_websockets{{{SEL}}})", "WebSockets {{instance}}"),
                    q(f"sum by (instance) (gateway_streams{{{SEL}}})", "streams {{instance}}"),
                    width=6,
                ),
                graph(
                    "What passes through them?",
                    q(
                        f"sum by (from) (rate(gateway_websocket_messages_total{{{SEL}}}[$__rate_interval]))",
                        "WebSocket messages, from {{from}}",
                    ),
                    q(f"sum(rate(gateway_stream_messages_total{{{SEL}}}[$__rate_interval]))", "messages of streams"),
                    unit="reqps",
                    width=6,
                    why="Each message of a supplier is verified, and over a WebSocket each is a relay that is paid for.",
                ),
                graph(
                    "Why were suppliers' sockets replaced?",
                    q(
                        f"sum by (cause) (increase(gateway_websocket_rebinds_total{{{SEL}}}[$__rate_interval])) or "
                        f"0 * sum(gateway_websockets{{{SEL}}})",
                        "{{cause}}",
                    ),
                    width=6,
                    why="session: a new one began, which callers do not notice. Anything else: the supplier's socket failed.",
                ),
                graph(
                    "How did they end?",
                    q(
                        f"sum by (reason) (increase(gateway_streams_ended_total{{{SEL}}}[$__rate_interval])) or "
                        f"0 * sum(gateway_streams{{{SEL}}})",
                        "stream {{reason}}",
                    ),
                    q(
                        f"sum by (reason) (increase(gateway_websockets_closed_total{{{SEL}}}[$__rate_interval])) or "
                        f"0 * sum(gateway_websockets{{{SEL}}})",
                        "WebSocket {{reason}}",
                    ),
                    width=6,
                    why="complete, caller_closed, caller_gone and stopping are in order; other reasons are those of errors.",
                ),
            ],
        ),
        (
            "Sessions, chain and connections",
            [
                graph(
                    "Are sessions there when they are needed?",
                    q(f'sum(rate(session_hits_total{{{SEL},role="gateway"}}[$__rate_interval]))', "known"),
                    q(f'sum(rate(session_grace_hits_total{{{SEL},role="gateway"}}[$__rate_interval]))', "previous one, while the next is read"),
                    q(f'sum(rate(session_lookups_total{{{SEL},role="gateway"}}[$__rate_interval]))', "asked of the chain"),
                    q(f'sum(rate(session_lookup_failures_total{{{SEL},role="gateway"}}[$__rate_interval]))', "no session"),
                    unit="reqps",
                ),
                graph(
                    "How many applications and services are known?",
                    q(f'sum by (instance) (session_entries{{{SEL},role="gateway"}})', "{{instance}}"),
                ),
                graph(
                    "Who is connected, who is refused?",
                    q(f'sum by (listener) (portico_listener_connections{{{SEL},listener=~"gateway|admin"}})', "{{listener}}"),
                    q(
                        f'sum by (listener, reason) (rate(portico_listener_refused_total{{{SEL},listener=~"gateway|admin"}}[$__rate_interval]))',
                        "{{listener}}: {{reason}} per s",
                    ),
                ),
                graph(
                    "Are receipts given?",
                    q(f"sum by (outcome) (rate(gateway_receipts_total{{{SEL}}}[$__rate_interval]))", "{{outcome}}"),
                    unit="reqps",
                    why="Receipts that suppliers were asked for.",
                ),
                graph(
                    "How old is the newest block?",
                    q(f"portico_chain_head_age_seconds{{{SEL}}}", "{{instance}}"),
                    unit="s",
                ),
                graph(
                    "What does the process allocate?",
                    q(f"sum by (instance) (rate(portico_allocations_total{{{SEL}}}[$__rate_interval]))", "{{instance}}"),
                    unit="ops",
                ),
            ],
        ),
    ],
}

CHAIN = {
    "uid": "portico-chain",
    "title": "Portico chain: does it go on?",
    "job": "portico_chain_height",
    "rows": [
        (
            "Blocks",
            [
                stat("Which height is it?", f"max(portico_chain_height{{{SEL}}})"),
                stat(
                    "Does the disk take blocks?",
                    f"1 - min(portico_chain_writable{{{SEL}}})",
                    why="0: yes. 1: the disk refuses a block, mostly since it is full; the node goes on when there is room.",
                    red_above=0,
                ),
                stat("How many transactions wait?", f"sum(portico_chain_mempool_txs{{{SEL}}})"),
                stat("How many bytes wait?", f"sum(portico_chain_mempool_bytes{{{SEL}}})", unit="bytes"),
                graph("How long is it from block to block?", *quantiles("portico_chain_block_interval_seconds"), unit="s",
                      why="Between the times in the headers."),
                graph(
                    "How many blocks are made?",
                    q(f"sum by (instance) (rate(portico_chain_block_interval_seconds_count{{{SEL}}}[$__rate_interval]))", "{{instance}}"),
                    unit="ops",
                ),
                graph(
                    "How far are gateways and servicers behind?",
                    q("scalar(max(portico_chain_height)) - servicer_block_height", "servicer {{instance}}, blocks"),
                    q("portico_chain_head_age_seconds", "age of {{instance}}'s newest block, s"),
                    why="For all instances: those that follow this chain.",
                ),
            ],
        ),
        (
            "Transactions and queries",
            [
                graph(
                    "How do transactions in blocks end?",
                    q(f"sum by (outcome) (rate(portico_chain_txs_total{{{SEL}}}[$__rate_interval]))", "{{outcome}}"),
                    unit="ops",
                ),
                graph(
                    "What becomes of transactions that are handed in?",
                    q(f"sum by (outcome) (rate(portico_chain_broadcasts_total{{{SEL}}}[$__rate_interval]))", "{{outcome}}"),
                    unit="ops",
                ),
                graph(
                    "What is asked?",
                    q(f"topk(12, sum by (server, method) (rate(portico_chain_requests_total{{{SEL}}}[$__rate_interval])))", "{{server}} {{method}}"),
                    unit="reqps",
                ),
            ],
        ),
        (
            "Connections",
            [
                graph(
                    "Who is connected, who is refused?",
                    q(f'sum by (listener) (portico_listener_connections{{{SEL},listener=~"rpc|grpc|admin"}})', "{{listener}}"),
                    q(
                        f'sum by (listener, reason) (rate(portico_listener_refused_total{{{SEL},listener=~"rpc|grpc|admin"}}[$__rate_interval]))',
                        "{{listener}}: {{reason}} per s",
                    ),
                    width=12,
                ),
                graph(
                    "Who listens to events, who was too slow?",
                    q(f"sum(portico_chain_subscriptions{{{SEL}}})", "subscriptions"),
                    q(f"sum(increase(portico_chain_dropped_subscribers_total{{{SEL}}}[$__rate_interval]))", "dropped"),
                    width=12,
                ),
            ],
        ),
    ],
}


def render_panel(number, spec, x, y):
    steps = [{"color": "green", "value": None}]
    if spec["red_above"] is not None:
        # A threshold is reached at its value: the smallest step above it.
        steps.append({"color": "red", "value": spec["red_above"] + 0.000001})
        if spec["red_above"] == 0:
            steps = [{"color": "red", "value": None}, {"color": "green", "value": 0}, steps[1]]
    defaults = {"unit": spec["unit"], "thresholds": {"mode": "absolute", "steps": steps}}
    options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if spec["kind"] == "stat":
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value" if spec["red_above"] is None else "background",
            "graphMode": "area",
            "textMode": "value",
        }
    return {
        "id": number,
        "type": spec["kind"],
        "title": spec["title"],
        "description": spec["why"],
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": spec["width"], "h": spec["height"]},
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": DATASOURCE,
                "expr": expr,
                "legendFormat": legend or "__auto",
                "instant": False,
                "range": True,
            }
            for at, (expr, legend) in enumerate(spec["queries"])
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def render(board):
    panels, number, y = [], 1, 0
    for title, specs in board["rows"]:
        panels.append(
            {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
             "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}
        )
        number, y, x, tallest = number + 1, y + 1, 0, 0
        for spec in specs:
            if x + spec["width"] > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(render_panel(number, spec, x, y))
            number, x, tallest = number + 1, x + spec["width"], max(tallest, spec["height"])
        y += tallest
    variables = [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0},
        {
            "name": "instance",
            "label": "Instance",
            "type": "query",
            "datasource": DATASOURCE,
            "query": {"query": f"label_values({board['job']}, instance)", "refId": "instances"},
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"text": ["All"], "value": ["$__all"]},
            "refresh": 2,
            "sort": 1,
            "hide": 0,
        },
    ]
    return {
        "uid": board["uid"],
        "title": board["title"],
        "tags": ["portico"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": variables},
        "annotations": {"list": []},
        "panels": panels,
    }


def main():
    check, stale = "--check" in sys.argv[1:], []
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, board in (("servicer", SERVICER), ("gateway", GATEWAY), ("chain", CHAIN)):
        path = FOLDER / f"{name}.json"
        text = json.dumps(render(board), indent=2, ensure_ascii=False) + "\n"
        if check and (not path.exists() or path.read_text() != text):
            stale.append(path.name)
        elif not check:
            path.write_text(text)
    if stale:
        sys.exit(f"dashboards.py: {', '.join(stale)} differ from what this script writes: run it without --check")


if __name__ == "__main__":
    main()
