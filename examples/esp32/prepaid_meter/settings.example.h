/* Copy to settings.h and fill in; settings.h stays out of git. */
#pragma once

#define WIFI_SSID "the network"
#define WIFI_PASSWORD "its password"

/* What POST /devices answered. */
#define METER_ID "METER001"
#define MQTT_USER "METER001"
#define MQTT_PASSWORD "shown once"

#define MQTT_HOST "192.168.1.10"
#define MQTT_PORT 8883
/* The authority of the broker's certificate, as PEM. Without it: plain MQTT on port 1883, for a bench only. */
#define MQTT_CA "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"

/* Optional, signed readings per quarter of an hour: the secret of POST /api/admin/devices/register. */
/* #define DEVICE_SECRET "64 hex digits" */

/* The clock; reports wait until it is right. */
#define NTP_SERVER "pool.ntp.org"

/* HIGH closes the relay. */
#define RELAY_PIN 26
/* A current transformer with voltage output (SCT-013-030: 30 A give 1 V), biased to half the supply. ADC1 only. */
#define CURRENT_PIN 34
#define AMPS_PER_VOLT 30.0
#define AMPS_LEAST 0.05
#define MAINS_VOLTS 240.0

#define REPORT_SECONDS 30
/* In ten-thousandths of a kWh: 1 kWh. */
#define LOW_BALANCE_UNITS 10000
