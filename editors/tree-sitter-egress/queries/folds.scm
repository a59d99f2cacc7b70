; What can be folded.

[
  (cluster_body)
  (gateway_body)
  (policy_body)
  (guardrail_body)
  (control_body)
  (selector)
  (filters)
  (group)
  (doc_comment)+
] @fold
