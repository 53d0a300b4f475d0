"""Where this composer and Apollo's (@apollo/composition 2.14) differ on purpose: who is right, and why.

Whatever is not listed here is the same: codes, supergraphs up to order, API schemas, hints.
"""

# Sets that one accepts and the other refuses, or that both refuse with other codes.
OTHER_CODES = {
    "bad_cache_tag_argument_on_entity": "the peer in JavaScript carries `@cacheTag` unchecked; its own router"
    " then refuses the tag",
    "bad_cache_tag_argument_on_root_field": "as above",
    "bad_cache_tag_entity_not_resolvable": "as above",
    "bad_cache_tag_invalid_format": "as above",
    "bad_cache_tag_non_root_field": "as above",
    "bad_disallowed_inaccessible": "the peer lets `Int` be redefined and hidden; the specification of"
    " @inaccessible forbids it for what is built in",
    "bad_external_on_interface": "the peer adds that the field is unused, which follows",
    "bad_invalid_graphql_default_holds_itself": "the peer ends in an exception: maximum call stack size"
    " exceeded",
    "bad_invalid_graphql_null_scopes": "the peer refuses nulls inside the list, and takes null for the whole"
    " list, which then demands nothing",
    "bad_invalid_graphql_syntax": "the peer leaves parsing to its caller, who gets an exception",
    "bad_invalid_link_identifier": "the link specification demands a usable name; the peer does not look",
    "bad_invalid_tag_name": "the tag specification says what a name is made of; the peer does not look",
    "bad_one_of_required": "the peer does not know `@oneOf`, which GraphQL has since 2025, and calls it"
    " unknown",
    "one_of": "as above: valid GraphQL, so accepted here",
    "bad_requires_unsupported_on_interface": "the peer adds what is wrong with the selection of a directive"
    " that cannot be there",
    "bad_satisfiability_circular_requires": "the peer ends in an exception: maximum call stack size exceeded",
    "bad_unknown_link_version": "an unknown version of the link specification has a code of its own",
    "bad_unsupported_linked_feature": "the link specification: a feature needed for security or execution"
    " may not be lost; the peer drops it",
    "override_labels_and_requires": "the peer takes a label that is not on the way to be neither on nor off,"
    " so that nobody has the field; here it is tried both ways, and both hold",
    "override_labels_swap_key": "as above",
    "override_labels_that_move_together": "as above",
}

# Supergraphs that say the same in other words.
OTHER_WORDS = {
    "link_renames_and_namespaces": "the peer writes @tag and @inaccessible under the names that subgraphs"
    " import them by; here a supergraph has their own names, and no import that a reader must follow",
    "renamed_imports_everywhere": "as above",
    "literals_of_all_kinds": "the peer turns an enum's value inside a custom scalar into a text",
    "implied_version": "the peer adds the definition of a @listSize that nobody uses",
    "published": "the peer adds the definition of a @cost that nobody uses",
}

# Hints that only this composer gives.
MORE_HINTS = {
    "compose_directive": "a subgraph that does not ask for the composed directive loses what it writes with"
    " it: worth a word (DIRECTIVE_COMPOSITION_WARN)",
    "compose_directive_two_majors_minor": "the peer has the code for definitions that differ, and never gives"
    " it (INCONSISTENT_TYPE_SYSTEM_DIRECTIVE_…)",
    "composed_definitions_differ": "as above",
    "union_and_member": "one copy of a shared field returns a union, the other one of its members: then the"
    " first may not return the others. The peer compares only copies of abstract type"
    " (INCONSISTENT_RUNTIME_TYPES_FOR_SHAREABLE_RETURN)",
    "union_narrowed_field": "as above, with an interface",
}

# Supergraphs that another router cannot load, although it is the supergraph that its own composer makes.
NOT_LOADED = {
    ("apollo", "one_of"): "the peer does not know `@oneOf`",
    ("apollo", "audit/non-resolvable-interface-object"): "its planner fails at the supergraph of its own"
    " composer too: an entity interface that no subgraph resolves",
}
