CREATE TABLE company (
  id serial PRIMARY KEY, name varchar(200) NOT NULL UNIQUE, slug varchar(50) NOT NULL UNIQUE,
  nickname varchar(50) NOT NULL, about text NOT NULL, account_number varchar(100) NOT NULL,
  vat_number varchar(30) NOT NULL, vat_number_validated boolean NOT NULL,
  prepaid boolean NOT NULL, credit_limit numeric(12,4) NOT NULL,
  low_credit_alert numeric(12,4) NOT NULL, low_credit_alert_sent boolean NOT NULL,
  account_blocked_alert_sent boolean NOT NULL, email_alert varchar(254) NULL,
  customer_balance numeric(12,6) NOT NULL, supplier_balance numeric(12,6) NOT NULL,
  max_calls integer NOT NULL CHECK (max_calls >= 0),
  calls_per_second integer NOT NULL CHECK (calls_per_second >= 0),
  billing_cycle varchar(10) NOT NULL,
  customer_enabled boolean NOT NULL, supplier_enabled boolean NOT NULL,
  date_added timestamptz NOT NULL, date_modified timestamptz NOT NULL);

CREATE TABLE company_balance_history (
  id serial PRIMARY KEY, amount_debited numeric(12,4) NOT NULL,
  amount_refund numeric(12,4) NOT NULL, customer_balance numeric(12,4) NOT NULL,
  supplier_balance numeric(12,4) NOT NULL, operation_type varchar(10) NOT NULL,
  reference varchar(255) NOT NULL, description varchar(255) NOT NULL,
  date_added timestamptz NOT NULL, date_modified timestamptz NOT NULL,
  company_id integer NOT NULL REFERENCES company (id) DEFERRABLE INITIALLY DEFERRED);
CREATE INDEX ON company_balance_history (company_id);

CREATE TABLE cdr (
  id serial PRIMARY KEY, customer_id integer NULL REFERENCES company (id)
    DEFERRABLE INITIALLY DEFERRED,
  lcr_carrier_id_id integer NULL REFERENCES company (id) DEFERRABLE INITIALLY DEFERRED,
  uuid varchar(100) NULL, start_stamp timestamptz NULL, end_stamp timestamptz NULL,
  billsec integer NULL, total_sell numeric(11,5) NULL);
CREATE INDEX ON cdr (start_stamp);
CREATE INDEX ON cdr (customer_id);
