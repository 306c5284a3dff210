"""The simulator fails as its script says, in order and only there, and the client classifies each failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import replace

import httpx
import pytest

from tests.models.http_server import REQUEST, calling, failure
from workflow_service.clients.openrouter import ChargeKind, ModelCallFailed, TokenUsage
from workflow_service.domain.error_class import ErrorClass
from workflow_service.simulator import Behaviour, BehaviourKind, Simulator

MINI = "openai/gpt-4o-mini"
NOT_CHARGED, UNKNOWN, USED = ChargeKind
STEP = {"type": "json_schema", "json_schema": {"name": "icp", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("behaviour", "error_class", "charge", "billed"),
    [
        (Behaviour(kind=BehaviourKind.RATE_LIMITED), ErrorClass.RATE_LIMITED, NOT_CHARGED, False),
        (Behaviour(kind=BehaviourKind.STATUS), ErrorClass.PROVIDER_ERROR, UNKNOWN, False),
        (Behaviour(kind=BehaviourKind.STATUS, status=503), ErrorClass.PROVIDER_ERROR, NOT_CHARGED, False),
        (Behaviour(kind=BehaviourKind.STATUS, status=524), ErrorClass.TIMEOUT, UNKNOWN, False),
        (Behaviour(kind=BehaviourKind.STATUS, status=422), ErrorClass.UNPROCESSABLE, NOT_CHARGED, False),
        (Behaviour(kind=BehaviourKind.UNKNOWN_MODEL), ErrorClass.UNKNOWN_MODEL, NOT_CHARGED, False),
        (Behaviour(kind=BehaviourKind.OUT_OF_CREDITS), ErrorClass.INSUFFICIENT_CREDITS, NOT_CHARGED, False),
        (
            Behaviour(kind=BehaviourKind.IN_FLIGHT_CREDITS),
            ErrorClass.INSUFFICIENT_CREDITS,
            NOT_CHARGED,
            False,
        ),
        (Behaviour(kind=BehaviourKind.MODERATED), ErrorClass.FORBIDDEN, NOT_CHARGED, False),
        (Behaviour(kind=BehaviourKind.SLOW), ErrorClass.TIMEOUT, UNKNOWN, True),
        (Behaviour(kind=BehaviourKind.HANG), ErrorClass.TIMEOUT, UNKNOWN, True),
        (Behaviour(kind=BehaviourKind.CUT), ErrorClass.CONNECTION_FAILED, UNKNOWN, True),
        (Behaviour(kind=BehaviourKind.CUT_BEFORE_ANSWER), ErrorClass.CONNECTION_FAILED, UNKNOWN, True),
        (Behaviour(kind=BehaviourKind.ERROR_INSIDE), ErrorClass.PROVIDER_ERROR, UNKNOWN, True),
        (
            Behaviour(kind=BehaviourKind.ERROR_INSIDE, status=429, with_usage=True),
            ErrorClass.RATE_LIMITED,
            USED,
            True,
        ),
        (Behaviour(kind=BehaviourKind.ERROR_IN_CHOICE), ErrorClass.PROVIDER_ERROR, UNKNOWN, True),
        (
            Behaviour(kind=BehaviourKind.ERROR_IN_CHOICE, with_usage=True),
            ErrorClass.PROVIDER_ERROR,
            USED,
            True,
        ),
        (Behaviour(kind=BehaviourKind.TRUNCATED), ErrorClass.MALFORMED_RESPONSE, UNKNOWN, True),
        (Behaviour(kind=BehaviourKind.HTML), ErrorClass.MALFORMED_RESPONSE, UNKNOWN, True),
        (Behaviour(kind=BehaviourKind.NO_CHOICES), ErrorClass.MALFORMED_RESPONSE, USED, True),
        (Behaviour(kind=BehaviourKind.OUTPUT_LIMIT), ErrorClass.OUTPUT_LIMIT_REACHED, USED, True),
        (
            Behaviour(kind=BehaviourKind.STATUS, status=404, error="model 'x' not found"),
            ErrorClass.UNKNOWN_MODEL,
            NOT_CHARGED,
            False,
        ),
        (
            Behaviour(kind=BehaviourKind.ERROR_IN_CHOICE, error={"code": "rate_limit_exceeded"}),
            ErrorClass.RATE_LIMITED,
            UNKNOWN,
            True,
        ),
    ],
    ids=lambda value: str(value.kind) if isinstance(value, Behaviour) else "",
)
async def test_failures(
    behaviour: Behaviour, error_class: ErrorClass, charge: ChargeKind, billed: bool
) -> None:
    """The client gives each failure its class; calls that may have been billed can be looked up."""
    async with Simulator() as simulator, calling(simulator.base_url, deadline_seconds=0.3) as client:
        simulator.misbehave(behaviour)
        failed = await failure(client)
        assert (failed.error_class, failed.charge.kind) == (error_class, charge)
        (call,) = simulator.calls
        assert (call.billed_nano_usd > 0) == billed
        if failed.charge.generation_id is not None:
            record = await client.generation(failed.charge.generation_id)
            assert record is not None
            assert record.provider_cost_nano_usd == call.billed_nano_usd
        assert (await client.complete(REQUEST)).usage is not None  # the next call is answered


async def test_good_answers_that_lie() -> None:
    """Missing or odd usage, another model, another cost, and text that is not JSON are read as sent."""
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        simulator.misbehave(
            Behaviour(kind=BehaviourKind.MISSING_USAGE),
            Behaviour(kind=BehaviourKind.USAGE, usage={"prompt_tokens": -4}),
            Behaviour(kind=BehaviourKind.OTHER_MODEL, served_model=MINI),
            Behaviour(kind=BehaviourKind.COST, cost_usd="0.5"),
            Behaviour(kind=BehaviourKind.UNPARSABLE),
        )
        request = replace(REQUEST, response_format=STEP)
        missing, odd, other, dear, prose = [await client.complete(request) for _ in range(5)]
    assert (missing.usage, missing.provider_cost_nano_usd) == (None, None)
    assert odd.usage is None
    assert odd.provider_cost_nano_usd is not None
    assert other.served_model == MINI
    assert other.provider_cost_nano_usd is not None
    assert other.provider_cost_nano_usd < 12_000_000  # priced as the model that served, without sonar's fee
    assert dear.provider_cost_nano_usd == 500_000_000
    assert not prose.text.startswith("{")


async def test_good_answers_in_other_forms() -> None:
    """Parts, reasoning, other names for the counts, nothing at all, by the control interface."""
    usage = {"input_tokens": 4, "output_tokens": 5, "cache_read_input_tokens": 6}
    script = [
        {"kind": "content_parts"},
        {"kind": "reasoning_content"},
        {"kind": "bare_usage", "usage": usage},
        {"kind": "nothing"},
        {"kind": "missing_usage", "record": {"native_tokens_prompt": 7, "total_cost": "0.5"}},
        {"kind": "missing_usage", "has_record": False},
    ]
    request = replace(REQUEST, response_format=STEP)
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        whole = await client.complete(request)
        async with httpx.AsyncClient() as http:
            await http.post(f"{simulator.control_url}/script", json={"behaviours": script})
        parts, reasoned, bare, nothing, recorded, unrecorded = [
            await client.complete(request) for _ in range(6)
        ]
        assert parts.text == reasoned.text == bare.text == whole.text != ""
        assert bare.usage == TokenUsage(10, 5, 6)
        assert (nothing.text, nothing.usage, nothing.provider_cost_nano_usd) == ("", TokenUsage(0, 0), 0)
        record = await client.generation(str(recorded.generation_id))
        assert record is not None
        assert record.usage is not None
        assert (record.usage.input_tokens, record.provider_cost_nano_usd) == (7, 500_000_000)
        assert await client.generation(str(unrecorded.generation_id)) is None


async def test_the_script_is_kept_in_order_and_to_its_calls() -> None:
    """`times`, `model` and `step` select the calls of a behaviour; other calls are answered normally."""
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        async with httpx.AsyncClient() as http:
            added = await http.post(
                f"{simulator.control_url}/script",
                json={
                    "behaviours": [
                        {"kind": "rate_limited", "times": 2, "model": "perplexity/sonar", "retry_after": "7"},
                        {"kind": "html", "step": "icp", "times": None},
                    ]
                },
            )
            assert added.json() == {"behaviours": 2}
            assert (await client.complete(replace(REQUEST, model=MINI))).text
            for _ in range(2):
                assert (await failure(client)).retry_after_seconds == 7.0
            assert (await client.complete(REQUEST)).text
            for _ in range(2):
                failed = await failure(client, replace(REQUEST, response_format=STEP))
                assert failed.error_class is ErrorClass.MALFORMED_RESPONSE
            calls = (await http.get(f"{simulator.control_url}/calls")).json()["calls"]
            assert [(call["model"], call["step"], call["behaviour"]) for call in calls] == [
                (MINI, None, None),
                ("perplexity/sonar", None, "rate_limited"),
                ("perplexity/sonar", None, "rate_limited"),
                ("perplexity/sonar", None, None),
                ("perplexity/sonar", "icp", "html"),
                ("perplexity/sonar", "icp", "html"),
            ]
            assert REQUEST.messages[0]["content"] not in str(calls)
            await http.post(f"{simulator.control_url}/reset")
            assert (await http.get(f"{simulator.control_url}/calls")).json() == {"calls": []}
        assert (await client.complete(replace(REQUEST, response_format=STEP))).text


@pytest.mark.parametrize(
    "script", [{}, {"behaviours": [{"kind": "explode"}]}, {"behaviours": [{"times": 0}]}]
)
async def test_a_script_that_is_not_understood(script: object) -> None:
    """The script is refused with 400 and a reason, and no part of it is used."""
    async with Simulator() as simulator, httpx.AsyncClient() as http:
        answer = await http.post(f"{simulator.control_url}/script", json=script)
        assert answer.status_code == 400
        assert answer.json()["errors"]


async def test_it_stops_while_calls_hang() -> None:
    """A stop ends open calls instead of waiting for them."""
    async with asyncio.timeout(10), contextlib.AsyncExitStack() as stack:
        async with Simulator() as simulator:
            client = await stack.enter_async_context(calling(simulator.base_url))
            simulator.misbehave(Behaviour(kind=BehaviourKind.HANG), Behaviour(kind=BehaviourKind.SLOW))
            held = [asyncio.create_task(failure(client)) for _ in range(2)]
            while len(simulator.calls) < 2:  # noqa: ASYNC110 - the simulator has no event for its calls
                await asyncio.sleep(0.001)
        outcomes = await asyncio.gather(*held, return_exceptions=True)
    # The call that hung was cut; the slow one got its answer early, which `failure` reports as an error.
    assert {type(outcome) for outcome in outcomes} == {ModelCallFailed, AssertionError}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_as_a_process(number: signal.Signals) -> None:
    """The process prints its address, answers there, and exits cleanly on a signal with a call still open."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workflow_service.simulator",
        "--port",
        "0",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        async with asyncio.timeout(30):
            assert process.stdout is not None
            line = (await process.stdout.readline()).decode()
            assert line.startswith("ready simulator=http://127.0.0.1:")
            base_url, control_url = (part.partition("=")[2] for part in line.split()[1:])
            async with calling(base_url) as client, httpx.AsyncClient() as http:
                assert (await client.complete(REQUEST)).text
                await http.post(f"{control_url}/script", json={"behaviours": [{"kind": "hang"}]})
                held = asyncio.create_task(failure(client))
                calls_url = f"{control_url}/calls"
                while len((await http.get(calls_url)).json()["calls"]) < 2:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.01)
                process.send_signal(number)
                assert (await held).error_class is ErrorClass.CONNECTION_FAILED
            _, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
