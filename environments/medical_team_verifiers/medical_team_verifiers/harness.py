"""One message, one reply: all that a player of this game does. No program and no sandbox."""

from __future__ import annotations

import httpx
import verifiers.v1 as vf


class OneReplyHarnessConfig(vf.HarnessConfig):
    """Nothing to choose."""


class OneReplyHarness(vf.Harness[OneReplyHarnessConfig]):
    """Asks the model once, from this process."""

    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace[vf.TaskData],
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
    ) -> vf.ProgramResult:
        """Send the task's prompt to verifiers' own endpoint, which asks the model and writes the trace."""
        _, prompt = self.resolve_text_prompt(data)
        body = {"model": ctx.model, "messages": [{"role": "user", "content": prompt}]}
        # The endpoint is on this machine, whatever proxy the environment names. How long a reply may take is for the
        # limits of verifiers to say: one of ours would end those that wait longest in a slow server's queue.
        async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
            answer = await client.post(
                f"{endpoint}/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"}
            )
        if answer.is_success:
            return vf.ProgramResult(exit_code=0, stdout="", stderr="")
        return vf.ProgramResult(exit_code=1, stdout="", stderr=f"{answer.status_code}: {answer.text[:2000]}")
