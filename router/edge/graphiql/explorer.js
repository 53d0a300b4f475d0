// Starts GraphiQL on this router: queries over HTTP, subscriptions over graphql-transport-ws.
(() => {
  const url = new URL("/graphql", location.href);
  const socketUrl = url.href.replace(/^http/, "ws");

  // The headers editor's Authorization goes with the WebSocket, too, as its connection_init payload.
  function authorizationOf(headers) {
    const found = Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === "authorization");
    return found ? { authorization: found[1] } : {};
  }

  function socketFor(headers) {
    return graphqlWs.createClient({ url: socketUrl, connectionParams: authorizationOf(headers) });
  }

  const fetcher = (parameters, options) => {
    const send = GraphiQL.createFetcher({ url: url.href, wsClient: socketFor(options?.headers) });
    return send(parameters, options);
  };

  const defaultQuery = `# Stadion: one graph for sport, fitness and health.
# Ctrl-Space: what can be asked here.  Ctrl-Enter: run.
# After log-in, in the Headers tab:
#   {"Authorization": "Bearer …"}

{
  __typename
}
`;

  const root = ReactDOM.createRoot(document.getElementById("explorer"));
  root.render(
    React.createElement(GraphiQL, {
      fetcher,
      defaultQuery,
      defaultEditorToolsVisibility: true,
      shouldPersistHeaders: false,
    }),
  );
})();
