import type { Environment } from './environment.js';

/** A port of the embedded broker, and the variable that moves it. */
export interface MqttWay {
  readonly name: string;
  readonly scheme: 'mqtt' | 'mqtts' | 'ws' | 'wss';
  readonly port: number;
  readonly variable: 'MQTT_BROKER_PORT' | 'MQTT_TLS_PORT' | 'MQTT_WS_PORT';
}

/** The ways in that these settings open; none for an external broker. */
export function mqttWays(environment: Environment): MqttWay[] {
  if (environment.MQTT_BROKER_HOST !== undefined) return [];
  const isPlain = environment.MQTT_ALLOW_PLAINTEXT;
  const ways: MqttWay[] = [];
  if (isPlain) {
    const port = environment.MQTT_BROKER_PORT;
    ways.push({ name: 'MQTT', scheme: 'mqtt', port, variable: 'MQTT_BROKER_PORT' });
  }
  if (environment.MQTT_TLS_CERT !== undefined) {
    const port = environment.MQTT_TLS_PORT;
    ways.push({ name: 'MQTTS', scheme: 'mqtts', port, variable: 'MQTT_TLS_PORT' });
  }
  if (environment.MQTT_WS_PORT !== undefined) {
    const scheme = isPlain ? 'ws' : 'wss';
    ways.push({
      name: 'MQTT over WebSocket',
      scheme,
      port: environment.MQTT_WS_PORT,
      variable: 'MQTT_WS_PORT',
    });
  }
  return ways;
}
