-- Alertmanager payloads, version 4, for wrk. Arguments after `--`: mix, alerts a request, number of the run.
--   new     every alert has a fingerprint that was never sent before
--   repeat  1,000 alerts, sent again and again with the startsAt they had at first
-- Alerts are spread over 100 services. BENCH_TOKEN, if set, is the bearer token.

local POPULATION = 1000
local SERVICES = 100

local alert_text = '{"status":"firing","labels":{"alertname":"%s","environment":"Production","instance":"%s:9100",'
  .. '"job":"services","service":"bench-%02d","severity":"critical"},"annotations":{"description":'
  .. '"%s of job services has been answering with errors or not at all for more than 30 seconds.",'
  .. '"summary":"bench-%02d on %s is down"},"startsAt":"2026-01-05T08:00:00.000Z","endsAt":"0001-01-01T00:00:00Z",'
  .. '"generatorURL":"http://prometheus.example:9090/graph?g0.expr=probe_success+%%3D%%3D+0&g0.tab=1",'
  .. '"fingerprint":"%s"}'
local head = '{"receiver":"ims","status":"firing","alerts":['
local tail = '],"groupLabels":{"alertname":"%s"},"commonLabels":{"alertname":"%s","environment":"Production",'
  .. '"job":"services","severity":"critical"},"commonAnnotations":{},"externalURL":"http://alertmanager.example:9093",'
  .. '"version":"4","groupKey":"{}:{alertname=\\"%s\\"}","truncatedAlerts":0}'

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  mix, size, run = args[1], tonumber(args[2]), tonumber(args[3])
  name = "ServiceDown"
  tail_text = tail:format(name, name, name)
  -- The threads begin at different places, so that together they go round the population.
  sent = number * POPULATION / 2
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["User-Agent"] = "Alertmanager/0.28.0"
  local token = os.getenv("BENCH_TOKEN")
  if token then wrk.headers["Authorization"] = "Bearer " .. token end
end

local function one_alert()
  local fingerprint, service
  if mix == "new" then
    fingerprint = ("%04x%02x%010x"):format(run, number, sent)
    service = sent % SERVICES
  else
    fingerprint = ("ffff%012x"):format(sent % POPULATION)
    service = sent % POPULATION % SERVICES
  end
  sent = sent + 1
  local instance = "node-" .. fingerprint
  return alert_text:format(name, instance, service, instance, service, instance, fingerprint)
end

function request()
  local alerts = {}
  for i = 1, size do alerts[i] = one_alert() end
  return wrk.format(nil, nil, nil, head .. table.concat(alerts, ",") .. tail_text)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(('\nRESULT {"requests":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50":%.3f,"p99":%.3f}\n'):format(
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write
    + errors.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
