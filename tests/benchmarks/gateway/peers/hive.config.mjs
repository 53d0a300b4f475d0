// Hive Gateway before the benchmark's subgraphs, each request answered by itself
import { defineConfig } from "@graphql-hive/gateway";

export const gatewayConfig = defineConfig({
  graphqlEndpoint: "/graphql",
  logging: "error",
  jit: process.env.HIVE_JIT === "1",
  propagateHeaders: {
    fromClientToSubgraphs: ({ request }) => ({ authorization: request.headers.get("authorization") ?? "" }),
  },
});
