// Asks a router with a client that others wrote, and prints what came as JSON: `node ask.mjs CLIENT URL`.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.STADION_NPM_CLIENTS}/`);
const [client, url] = process.argv.slice(2);
const socketUrl = url.replace("http", "ws");
const codeOf = (error) => error?.extensions?.code ?? null;

async function eventsOf(subscribe) {
  const seen = [];
  return await new Promise((done) => {
    subscribe({
      next: (event) => seen.push(event),
      error: (error) => done({ seen, error: Array.isArray(error) ? error.map(codeOf) : String(error) }),
      complete: () => done({ seen, error: null }),
    });
  });
}

async function ofWebSocket() {
  const { createClient } = require("graphql-ws");
  const webSocketImpl = require("ws");
  const one = createClient({ url: socketUrl, webSocketImpl, retryAttempts: 0, lazy: true });
  const ask = (query, variables) => eventsOf((sink) => one.subscribe({ query, variables }, sink));
  const found = {
    query: await ask("query($n: String) { hello(name: $n) }", { n: "ws" }),
    mutation: await ask("mutation { bump }"),
    subscription: await ask("subscription { count(to: 3) }"),
    invalid: await ask("{ nothing }"),
    failing: await ask("{ hello broken }"),
    together: await Promise.all([1, 2, 3].map((to) => ask(`subscription { count(to: ${to}) }`))),
  };
  await one.dispose();
  return found;
}

async function ofEventStream() {
  const { createClient } = require("graphql-sse");
  const one = createClient({ url, retryAttempts: 0 });
  const ask = (query) => eventsOf((sink) => one.subscribe({ query }, sink));
  const found = {
    query: await ask("{ hello }"),
    subscription: await ask("subscription { count(to: 3) }"),
    invalid: await ask("{ nothing }"),
  };
  one.dispose();
  return found;
}

async function ofApollo() {
  const { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql, split } = require("@apollo/client/core");
  const { createPersistedQueryLink } = require("@apollo/client/link/persisted-queries");
  const { GraphQLWsLink } = require("@apollo/client/link/subscriptions");
  const { getMainDefinition } = require("@apollo/client/utilities");
  const { createClient } = require("graphql-ws");
  const sent = [];
  const counting = (uri, options) => {
    sent.push(options.method === "GET" ? "GET" : Object.keys(JSON.parse(options.body)).sort().join(","));
    return fetch(uri, options);
  };
  const http = new HttpLink({ uri: url, fetch: counting });
  const clientOf = (link) =>
    new ApolloClient({ link, cache: new InMemoryCache(), name: "conformance", version: "1" });
  const one = clientOf(http);
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  const persisted = clientOf(ApolloLink.from([createPersistedQueryLink({ sha256 }), http]));
  const socket = createClient({ url: socketUrl, webSocketImpl: require("ws"), retryAttempts: 0 });
  const both = clientOf(
    split(({ query }) => getMainDefinition(query).operation === "subscription", new GraphQLWsLink(socket), http),
  );
  const query = gql`query Hello($n: String) { hello(name: $n) nested { hello } }`;
  const found = {
    query: (await one.query({ query, variables: { n: "apollo" } })).data,
    mutation: (await one.mutate({ mutation: gql`mutation { bump }` })).data,
    partial: await one.query({ query: gql`{ hello broken }`, errorPolicy: "all", fetchPolicy: "no-cache" })
      .then(({ data, errors }) => ({ data, paths: errors.map((it) => it.path) })),
    invalid: await one.query({ query: gql`{ nothing }` }).catch((error) => error.graphQLErrors.map(codeOf)),
    multipart: await eventsOf((sink) => one.subscribe({ query: gql`subscription { count(to: 3) }` }).subscribe(sink)),
    socket: await eventsOf((sink) => both.subscribe({ query: gql`subscription { count(to: 2) }` }).subscribe(sink)),
    deferred: await deferredOf(one, gql),
  };
  sent.length = 0;
  for (const fetchPolicy of ["no-cache", "no-cache"]) {
    await persisted.query({ query: gql`{ me counted }`, fetchPolicy });
  }
  found.persisted = [...sent];
  await socket.dispose();
  return found;
}

async function deferredOf(one, gql) {
  const query = gql`{ hello ... @defer { nested { hello } } }`;
  const watched = one.watchQuery({ query, fetchPolicy: "no-cache" });
  return await new Promise((done, failed) => {
    const parts = [];
    watched.subscribe({
      next: ({ data, networkStatus }) => {
        parts.push(data);
        if (networkStatus === 7 && data.nested) done({ parts: parts.length, last: data });
      },
      error: failed,
    });
  });
}

const clients = { "graphql-ws": ofWebSocket, "graphql-sse": ofEventStream, "apollo": ofApollo };
process.stdout.write(JSON.stringify(await clients[client]()));
process.exit(0);
