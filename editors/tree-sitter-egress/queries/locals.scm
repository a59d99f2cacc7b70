; What declares a name, and what refers to one. A file is one scope: order does not matter.

(source_file) @local.scope

(cluster name: (name) @local.definition.type)
(workloads name: (name) @local.definition.type)
(destinations name: (name) @local.definition.type)
(ports name: (name) @local.definition.type)
(gateway name: (name) @local.definition.type)
(policy name: (name) @local.definition.type)
(guardrail name: (name) @local.definition.type)

(workload_set (name) @local.reference)
(destination_set (name) @local.reference)
(port_set (name) @local.reference)
(except (name) @local.reference)
(via gateway: (name) @local.reference)
(only_via gateway: (name) @local.reference)
