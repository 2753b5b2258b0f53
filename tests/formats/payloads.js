// Payloads of Sparkplug B as sparkplug-payload of Eclipse Tahu decodes them: a line of hexadecimal digits in, a line of
// JSON out. Usage: payloads.js FOLDER-OF-NODE-MODULES
const { createRequire } = require("module");
const sparkplug = createRequire(process.argv[2] + "/x.js")("sparkplug-payload").get("spBv1.0");
const long = (value) => (value && typeof value === "object" && "low" in value ? Number(value.toString()) : value);

for (const line of require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const payload = sparkplug.decodePayload(Buffer.from(line, "hex"));
  const metrics = (payload.metrics || []).map((metric) => ({
    name: metric.name,
    type: metric.type,
    value: metric.value === undefined ? null : long(metric.value),
    historical: metric.isHistorical === true,
    timestamp: long(metric.timestamp),
    unit: metric.properties ? metric.properties.engUnit.value : null,
  }));
  console.log(JSON.stringify({ timestamp: long(payload.timestamp), seq: long(payload.seq), metrics }));
}
