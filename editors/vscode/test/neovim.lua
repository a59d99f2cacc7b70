-- Runs in a headless Neovim: opens FILE with the server and the grammar, and prints what it is told, as JSON.
-- Works with Neovim 0.7 (Debian 12) and later, without plugins.
local function say(what)
  io.stdout:write(vim.json and vim.json.encode(what) or vim.fn.json_encode(what), "\n")
end

local function give_up(why)
  say({ failed = why })
  vim.cmd("cquit")
end

local file, folder = vim.env.EGRESS_FILE, vim.env.EGRESS_FOLDER
vim.cmd("edit " .. vim.fn.fnameescape(file))
vim.bo.filetype = "egress"

local client = vim.lsp.start_client({ name = "egress", cmd = { vim.env.EGRESSC, "lsp" }, root_dir = folder })
if not client then
  give_up("the server did not start")
end
vim.lsp.buf_attach_client(0, client)

local found = vim.wait(60000, function()
  return #vim.diagnostic.get(0) > 0
end, 50)
if not found then
  give_up("no diagnostics")
end

local hover = vim.lsp.buf_request_sync(0, "textDocument/hover", {
  textDocument = vim.lsp.util.make_text_document_params(),
  position = { line = tonumber(vim.env.EGRESS_LINE), character = tonumber(vim.env.EGRESS_CHARACTER) },
}, 60000)

local answers = {}
for _, answer in pairs(hover or {}) do
  table.insert(answers, answer.result)
end
local diagnostics = vim.tbl_map(function(one)
  return { line = one.lnum, code = one.code, message = one.message }
end, vim.diagnostic.get(0))

-- Colours by the parser, where a compiler could build it.
local captures = 0
if vim.env.EGRESS_PARSER ~= "" then
  if vim.treesitter.language and vim.treesitter.language.add then
    vim.treesitter.language.add("egress", { path = vim.env.EGRESS_PARSER })
  else
    vim.treesitter.require_language("egress", vim.env.EGRESS_PARSER)
  end
  local parse = vim.treesitter.query and vim.treesitter.query.parse or vim.treesitter.parse_query
  local text = table.concat(vim.fn.readfile(vim.env.EGRESS_QUERIES .. "/highlights.scm"), "\n")
  local query = parse("egress", text)
  local root = vim.treesitter.get_parser(0, "egress"):parse()[1]:root()
  for _ in query:iter_captures(root, 0, 0, -1) do
    captures = captures + 1
  end
end

say({ diagnostics = diagnostics, hover = answers, captures = captures })
vim.cmd("qall!")
