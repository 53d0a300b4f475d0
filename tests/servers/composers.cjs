// Composers and routers of others, asked over a pipe: one JSON request a line in, one JSON answer a line out.
"use strict";
const readline = require("node:readline");
const { parse, printSchema, lexicographicSortSchema } = require("graphql");

// null where the printer of graphql-js gives up: it knows no literal for an object that is a custom scalar's default.
function shown(schema) {
  try {
    return printSchema(lexicographicSortSchema(schema));
  } catch (error) {
    if (/Cannot convert value to AST/.test(error.message)) return null;
    throw error;
  }
}

const services = (set) => set.map((s) => ({ name: s.name, url: s.url, typeDefs: parse(s.sdl) }));
const refused = (errors) => ({
  sdl: null,
  api: null,
  codes: errors.map((e) => (e.extensions && e.extensions.code) || "UNCODED"),
  messages: errors.map((e) => e.message),
  hints: [],
});

const composers = {
  apollo(set) {
    const { composeServices } = require("@apollo/composition");
    const result = composeServices(services(set));
    if (result.errors) return refused(result.errors);
    const hints = result.hints.map((h) => h.definition.code);
    const api = result.schema.toAPISchema().toGraphQLJSSchema();
    return { sdl: result.supergraphSdl, api: shown(api), codes: [], messages: [], hints };
  },
  guild(set) {
    const { composeServices } = require("@theguild/federation-composition");
    const result = composeServices(services(set));
    if (result.errors && result.errors.length) return refused(result.errors);
    return { sdl: result.supergraphSdl, api: null, codes: [], messages: [], hints: [] };
  },
  wundergraph(set) {
    const { federateSubgraphs } = require("@wundergraph/composition");
    const subgraphs = set.map((s) => ({ name: s.name, url: s.url, definitions: parse(s.sdl) }));
    const result = federateSubgraphs({ subgraphs, version: "1" });
    return result.success ? { sdl: "", api: null, codes: [], messages: [], hints: [] } : refused(result.errors);
  },
};

// The smallest operation on each root field that asks for no arguments.
function smallest(schema) {
  const { baseType } = require("@apollo/federation-internals");
  const query = schema.schemaDefinition.rootType("query");
  const fields = query.fields().filter((f) => !f.arguments().some((a) => a.isRequired()));
  const leaf = (f) => ["ScalarType", "EnumType"].includes(baseType(f.type).kind);
  return fields.map((f) => (leaf(f) ? `{ ${f.name} }` : `{ ${f.name} { __typename } }`));
}

const routers = {
  apollo(sdl) {
    const { Supergraph, operationFromDocument } = require("@apollo/federation-internals");
    const { QueryPlanner } = require("@apollo/query-planner");
    const supergraph = Supergraph.build(sdl, { supportedFeatures: null });
    const planner = new QueryPlanner(supergraph);
    const api = supergraph.apiSchema();
    for (const text of smallest(api)) planner.buildQueryPlan(operationFromDocument(api, parse(text)));
    return shown(api.toGraphQLJSSchema());
  },
  graphqlTools(sdl) {
    const { getStitchedSchemaFromSupergraphSdl } = require("@graphql-tools/federation");
    return shown(getStitchedSchemaFromSupergraphSdl({ supergraphSdl: sdl }));
  },
};

function answer(request) {
  const work = request.compose ? composers[request.by] : routers[request.by];
  return (request.compose || request.load).map((one) => {
    try {
      return request.compose ? work(one) : { api: work(one), error: null };
    } catch (error) {
      const message = String((error && error.message) || error);
      return request.compose ? { ...refused([]), codes: ["CRASH"], messages: [message] } : { api: null, error: message };
    }
  });
}

console.log = console.warn = console.info = () => {}; // what the packages print is not for the pipe
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
});
