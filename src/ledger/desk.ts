import { Ajv } from 'ajv';
import { Type, type Static, type TSchema } from 'typebox';
import { createPrepaidMeters, type PrepaidMeters } from '../balances/prepaid-meters.js';
import type { Database } from '../database/database.js';
import type { Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import type { ListQuery, Page } from '../http/page.js';
import { createPaymentList, type PaymentList } from '../payments/payment-list.js';
import { balanceOf, type MeterBalance } from './balance.js';
import { charge } from './charge.js';
import { allocationAnswer, chargeAnswer, reversalAnswer } from './desk-answers.js';
import type { AllocationAnswer, ChargeAnswer, MoneyAtAGlance, ReversalAnswer } from './desk-answers.js';
import { reverse } from './reversal.js';
import { statementOf, type StatementLine } from './statement.js';
import { allocate } from './suspense.js';

export type { AllocationAnswer, ChargeAnswer, MoneyAtAGlance, ReversalAnswer } from './desk-answers.js';
