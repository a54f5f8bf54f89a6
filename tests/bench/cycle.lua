-- Send, receive, delete in the ratio 1:1:1.  Needs one thread: handles are kept per Lua state.
--
-- Arguments: queue URL, message text, number of FIFO groups (0: a standard queue), and a spare
-- receipt handle.  With a spare handle, a delete that
-- has no received one uses the spare, so the empty app gets the same mix of the same bytes.
-- Without one (a real server) it becomes a send; this happens only in the first few requests,
-- while no receive has been answered yet.

local heads, send_tail, receive_body, delete_start = {}, nil, nil, nil
local groups, spare = 0, ""
-- Makes deduplication ids unique: two runs on one queue never start within the same second.
local prefix = os.time() .. "-"
local turn, sent = 0, 0
local handles, first, last = {}, 1, 0
issued, receives, filled, failure = 0, 0, 0, ""

local threads = {}
function setup(thread)
  table.insert(threads, thread)
end

local function head(operation)
  wrk.headers["X-Amz-Target"] = "AmazonSQS." .. operation
  return wrk.format("POST", "/", wrk.headers, nil):sub(1, -3)
end

local function complete(start, body)
  return start .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

local function send()
  sent = sent + 1
  if groups == 0 then
    return send_tail
  end
  local body = send_tail .. ', "MessageGroupId": "g' .. math.random(0, groups - 1)
    .. '", "MessageDeduplicationId": "' .. prefix .. sent .. '"}'
  return complete(heads.send, body)
end

function init(args)
  local url = '{"QueueUrl": "' .. args[1] .. '"'
  groups, spare = tonumber(args[3]), args[4] or ""
  heads = { send = head("SendMessage"), receive = head("ReceiveMessage"), delete = head("DeleteMessage") }
  send_tail = url .. ', "MessageBody": "' .. args[2] .. '"'
  if groups == 0 then
    send_tail = complete(heads.send, send_tail .. "}")
  end
  receive_body = complete(heads.receive, url .. ', "MaxNumberOfMessages": 1}')
  delete_start = url .. ', "ReceiptHandle": "'
end

function request()
  issued = issued + 1
  turn = turn % 3 + 1
  if turn == 2 then
    receives = receives + 1
    return receive_body
  end
  if turn == 3 then
    local handle = spare
    if first <= last then
      handle = handles[first]
      handles[first] = nil
      first = first + 1
    end
    if handle ~= "" then
      return complete(heads.delete, delete_start .. handle .. '"}')
    end
  end
  return send()
end

-- The handle is kept as it stands in the JSON text, escapes and all, and goes back the same way.
function response(status, headers, body)
  if status ~= 200 then
    if failure == "" then
      failure = status .. " " .. body:sub(1, 200)
    end
    return
  end
  local handle = body:match('"ReceiptHandle"%s*:%s*"([^"]+)"')
  if handle then
    filled = filled + 1
    last = last + 1
    handles[last] = handle
  end
end

function done(summary, latency)
  local e, thread = summary.errors, threads[1]
  io.write(string.format(
    'BENCH {"requests":%d,"duration_us":%d,"broken":%d,"timeouts":%d,"refused":%d,"p50_us":%d,"p99_us":%d,'
      .. '"issued":%d,"receives":%d,"filled":%d}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write, e.timeout, e.status,
    latency:percentile(50), latency:percentile(99), thread:get("issued"), thread:get("receives"), thread:get("filled")))
  if thread:get("failure") ~= "" then
    io.write("FAILURE " .. thread:get("failure") .. "\n")
  end
end
