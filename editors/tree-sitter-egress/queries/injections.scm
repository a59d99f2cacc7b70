; Comments may hold whatever the editor finds in comments.

([(comment) (doc_comment)] @injection.content
  (#set! injection.language "comment"))
