; What is coloured how, by the names that Helix, Neovim and tree-sitter agree on.
; No two patterns fit one node: editors differ in which of two would win.

; Names

(workload_set (name) @variable)
(destination_set (name) @variable)
(port_set (name) @variable)
(except (name) @variable)
(cluster name: (name) @type)
(workloads name: (name) @type)
(destinations name: (name) @type)
(ports name: (name) @type)
(gateway name: (name) @type)
(policy name: (name) @type)
(guardrail name: (name) @type)
(via gateway: (name) @constant)
(only_via gateway: (name) @constant)

; Words

[
  "cluster"
  "workloads"
  "destinations"
  "ports"
  "gateway"
  "policy"
  "guardrail"
  "control"
  "assert"
] @keyword

[
  "for"
  "owner"
  "mode"
  "audit"
  "on"
  "via"
  "because"
  "ticket"
  "until"
  "managed"
] @keyword

(log) @keyword

[
  "allow"
  "deny"
] @keyword.control

[
  "can"
  "cannot"
  "reach"
  "only"
] @keyword.control

(ranges ["pods" "services" "nodes"] @property)
(dns "dns" @property)
(gateway_nodes "nodes" @property)
(gateway_addresses "address" @property)

(pods "pods" @function.builtin)
(host "host" @function.builtin)
(list "list" @function.builtin)
(source_address "address" @function.builtin)

[
  "namespace"
  "namespaces"
  "serviceaccount"
  "as"
] @keyword
(in_namespace "in" @keyword)

"except" @keyword.operator
(requirement operator: ["in" "notin"] @keyword.operator)

[
  (all)
  (world)
  (private)
  (any)
] @constant.builtin

; Values

[
  (address)
  (prefix)
  (range)
  (port)
  (date)
] @number

(protocol) @type.builtin
(host_pattern) @string.special
(kubernetes_name) @string
(label_key) @property
(label_value) @string
(filter_key) @property
(filter_value) @string
(string) @string
(escape) @string.escape

; Signs

[
  "="
  "=="
  "!="
  "!"
] @operator

"," @punctuation.delimiter

[
  "{"
  "}"
  "("
  ")"
] @punctuation.bracket

; Comments

(comment) @comment
(doc_comment) @comment.documentation
