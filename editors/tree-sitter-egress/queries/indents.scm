; What indents the lines in it. The two dialects stand side by side: Neovim reads @indent.*, Helix @indent and @outdent.

[
  (cluster_body)
  (gateway_body)
  (policy_body)
  (guardrail_body)
  (control_body)
  (selector)
  (filters)
  (group)
  (allow)
  (deny)
  (assertion)
] @indent @indent.begin

[
  "}"
  ")"
] @outdent @indent.branch @indent.end

(comment) @indent.auto
(doc_comment) @indent.auto
