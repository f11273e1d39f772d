import json, time, subprocess
import pytest
from .mix import apply_mix
from . import mix
mix.DEADLINE_SECONDS = 12
@pytest.mark.parametrize("n", range(6))
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_dbg(n, processes, client, witness, broker, environ, server):
    a = processes.worker("w1@host1"); b = processes.worker("w2@host1")
    try:
        apply_mix(client, witness, interval_seconds=2)
    except AssertionError as e:
        print(str(e)[:300])
        v = broker.rsplit("/",1)[1]
        time.sleep(6)
        for q in server("rabbitmq").management("GET", f"queues/{v}"):
            print(q["name"], q.get("messages_ready"), q.get("messages_unacknowledged"), q.get("consumers"))
        for ch in server("rabbitmq").management("GET", "channels"):
            print(ch["name"][-30:], ch.get("prefetch_count"), ch.get("global_prefetch_count"), ch.get("messages_unacknowledged"), ch.get("consumer_count"))
        r = client.control.inspect(timeout=2).stats()
        print({k: v2["prefetch_count"] for k, v2 in (r or {}).items()})
        print(client.control.inspect(timeout=2).reserved())
        raise
