// Only in a served page: the one way by which it asks its server.

async function post(what, body) {
  let reply;
  flight.asks++;
  try {
    reply = await fetch(what, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    flight.asks--;
    return { error: "The workbench has stopped. Start it again with: exitless view" };
  }
  try { return await reply.json(); } catch { return { error: `The workbench answered with status ${reply.status}.` }; } finally { flight.asks--; }
}
