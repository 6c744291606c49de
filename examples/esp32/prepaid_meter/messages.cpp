#include "messages.h"

#include "flat_json.h"

Status statusOf(const Prepaid &meter, int64_t lowUnits) {
  if (!meter.isKnown()) return {"error", "Balance unknown, supply is off", "Error"};
  if (meter.balance() <= 0) return {"low_balance", "No balance, supply is off", "Low balance"};
  if (meter.balance() <= lowUnits) return {"low_balance", "Balance is low", "Low balance"};
  return {"online", "Device operating normally", "Online"};
}

/* A meter_id has letters, digits, - and _ only: nothing in it needs an escape. */
static Text begun(const char *meterNo) {
  Text text;
  text.add("{\"meterNo\":\"").add(meterNo).add("\"");
  return text;
}

Text consumptionText(const char *meterNo, const Report &report) {
  Text text = begun(meterNo);
  text.add(",\"unitsConsumed\":").addKwh(report.units);
  text.add(",\"remainingBalance\":").addKwh(report.remaining);
  text.add(",\"totalConsumed\":").addKwh(report.total);
  text.add(",\"timestamp\":").add(report.timestamp).add("}");
  return text;
}

Text statusText(const char *meterNo, const Status &status, int64_t balance, int rssi, int64_t clockMs) {
  Text text = begun(meterNo);
  text.add(",\"status\":\"").add(status.status);
  text.add("\",\"message\":\"").add(status.message);
  text.add("\",\"balance\":").addKwh(balance);
  text.add(",\"wifi_rssi\":").add((int64_t)rssi);
  text.add(",\"timestamp\":").add(clockMs).add("}");
  return text;
}

Text confirmationText(const char *meterNo, const BalanceCommand &command) {
  Text text = begun(meterNo);
  text.add(",\"balance\":").addKwh(command.balance);
  text.add(",\"timestamp\":").add(command.timestamp).add("}");
  return text;
}

const char *parseBalanceCommand(const char *json, size_t length, BalanceCommand *command) {
  FlatJson object(json, length);
  if (!object.isValid()) return "it is not a JSON object";
  if (!object.decimal("balance", 4, &command->balance)) return "balance is not a number of at most four decimals";
  if (!object.decimal("timestamp", 0, &command->timestamp)) return "timestamp is not a whole number";
  return nullptr;
}
