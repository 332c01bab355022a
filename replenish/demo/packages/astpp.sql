-- as its own dump: zero dates
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO';

CREATE TABLE `system` (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(48) DEFAULT NULL,
  display_name varchar(255) NOT NULL, value varchar(1111) DEFAULT NULL,
  reseller_id int NOT NULL, group_title varchar(50) NOT NULL, KEY name (name))
  ENGINE=InnoDB DEFAULT CHARSET=utf8;
INSERT INTO `system` (name, display_name, value, reseller_id, group_title)
VALUES ('base_currency', '', 'USD', 0, 'global'), ('decimal_points', '', '4', 0, 'global'),
  ('call_max_length', '', '100', 0, 'calls'), ('version', '', '6.0', 0, 'global');

CREATE TABLE currency (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, currency varchar(3) NOT NULL,
  currencyname varchar(40) NOT NULL, currencyrate decimal(10,3) NOT NULL)
  ENGINE=InnoDB DEFAULT CHARSET=latin1;
INSERT INTO currency (id, currency, currencyname, currencyrate)
VALUES (1, 'USD', 'US Dollar', 1.000), (2, 'EUR', 'Euro', 0.850);

CREATE TABLE accounts (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, number varchar(20) NOT NULL,
  reseller_id int DEFAULT NULL, pricelist_id int NOT NULL, reference varchar(100) NOT NULL,
  status tinyint(1) NOT NULL DEFAULT 0, creation datetime NOT NULL DEFAULT '1000-01-01 00:00:00',
  credit_limit decimal(20,5) NOT NULL DEFAULT 0, posttoexternal tinyint(1) NOT NULL DEFAULT 0,
  balance decimal(20,5) NOT NULL DEFAULT 0, password varchar(100) NOT NULL DEFAULT '',
  email varchar(80) NOT NULL DEFAULT '', notification_email varchar(80) NOT NULL DEFAULT '',
  currency_id int NOT NULL DEFAULT 0, maxchannels int NOT NULL DEFAULT 1,
  dialed_modify mediumtext NOT NULL, type tinyint(1) DEFAULT 0, inuse int NOT NULL DEFAULT 0,
  deleted tinyint(1) NOT NULL DEFAULT 0, notify_flag tinyint(1) NOT NULL,
  notify_email varchar(80) NOT NULL, invoice_interval int NOT NULL, invoice_note text NOT NULL,
  last_bill_date datetime NOT NULL DEFAULT '0000-00-00 00:00:00', pin varchar(20) NOT NULL,
  first_used datetime NOT NULL, expiry datetime NOT NULL, charge_per_min varchar(100) NOT NULL,
  std_cid_translation varchar(100) NOT NULL, did_cid_translation varchar(100) NOT NULL,
  KEY number (number), KEY pricelist (pricelist_id), KEY reseller (reseller_id))
  ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE payment_transaction (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, accountid int NOT NULL,
  amount decimal(20,5) NOT NULL, tax varchar(10) NOT NULL,
  payment_method varchar(20) NOT NULL, actual_amount decimal(20,5) NOT NULL,
  payment_fee decimal(20,5) NOT NULL DEFAULT 0, reseller_id int NOT NULL DEFAULT 0,
  transaction_id varchar(50) NOT NULL, customer_ip varchar(100) NOT NULL,
  user_currency varchar(50) NOT NULL, currency_rate decimal(10,5) NOT NULL,
  transaction_details mediumtext NOT NULL,
  date timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)
  ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE invoices (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, prefix varchar(25) NOT NULL,
  number varchar(200) NOT NULL, accountid int NOT NULL DEFAULT 0,
  reseller_id int NOT NULL DEFAULT 0, payment_id int NOT NULL DEFAULT 0,
  from_date datetime NOT NULL DEFAULT '0000-00-00 00:00:00',
  to_date datetime NOT NULL DEFAULT '0000-00-00 00:00:00', due_date datetime NOT NULL,
  status tinyint(1) NOT NULL DEFAULT 0,
  generate_date datetime NOT NULL DEFAULT '1000-01-01 00:00:00',
  type enum('I','R') NOT NULL DEFAULT 'I', generate_type int NOT NULL DEFAULT 0,
  confirm int DEFAULT 0, notes longtext NOT NULL, is_deleted tinyint(1) NOT NULL DEFAULT 0,
  KEY accountid (accountid)) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE invoice_details (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, accountid int NOT NULL,
  reseller_id int NOT NULL DEFAULT 0, invoiceid int NOT NULL DEFAULT 0,
  order_item_id int NOT NULL DEFAULT 0, charge_type varchar(30) NOT NULL,
  payment_id int NOT NULL DEFAULT 0, product_category int NOT NULL DEFAULT 0,
  is_tax tinyint(1) NOT NULL DEFAULT 0, base_currency varchar(5) NOT NULL,
  exchange_rate decimal(20,6) NOT NULL DEFAULT 0, account_currency varchar(5) NOT NULL,
  description varchar(255) DEFAULT NULL, debit decimal(20,5) NOT NULL DEFAULT 0,
  credit decimal(20,5) NOT NULL DEFAULT 0, created_date datetime NOT NULL,
  generate_type int NOT NULL DEFAULT 0, before_balance varchar(100) NOT NULL DEFAULT '0',
  after_balance varchar(100) NOT NULL DEFAULT '0', quantity int NOT NULL DEFAULT 1)
  ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE invoice_conf (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, accountid int NOT NULL,
  invoice_prefix varchar(11) NOT NULL DEFAULT 'INV_',
  invoice_start_from int NOT NULL DEFAULT 1, `interval` varchar(11) NOT NULL)
  ENGINE=InnoDB DEFAULT CHARSET=utf8;
INSERT INTO invoice_conf (accountid, invoice_prefix, invoice_start_from, `interval`)
VALUES (1, 'INV_', 100, '7');

CREATE TABLE cdrs (
  uniqueid varchar(60) NOT NULL DEFAULT '', accountid int DEFAULT 0,
  type tinyint(1) NOT NULL DEFAULT 0, callerid varchar(120) NOT NULL,
  translated_dst varchar(30) NOT NULL, billseconds smallint NOT NULL DEFAULT 0,
  callstart datetime NOT NULL DEFAULT '1000-01-01 00:00:00',
  debit decimal(20,6) NOT NULL DEFAULT 0, pattern varchar(20) NOT NULL,
  notes varchar(80) NOT NULL, reseller_id int NOT NULL DEFAULT 0,
  reseller_code varchar(20) NOT NULL, provider_code varchar(20) NOT NULL,
  provider_code_destination varchar(80) NOT NULL, provider_call_cost decimal(20,6) NOT NULL,
  call_direction enum('outbound','inbound') NOT NULL,
  calltype enum('STANDARD','DID','FREE','CALLINGCARD','FAX','LOCAL') NOT NULL
    DEFAULT 'STANDARD',
  end_stamp datetime NOT NULL DEFAULT '0000-00-00 00:00:00',
  KEY start (callstart, reseller_id, type)) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE cdrs_staging LIKE cdrs;
ALTER TABLE cdrs_staging DROP KEY start;

CREATE TABLE activity_reports (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, accountid int NOT NULL,
  last_outbound_call_time datetime NOT NULL DEFAULT '0000-00-00 00:00:00',
  balance varchar(40) NOT NULL, credit_limit varchar(40) NOT NULL,
  UNIQUE KEY accountid (accountid)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TRIGGER cdr_records AFTER INSERT ON cdrs FOR EACH ROW
BEGIN
  INSERT INTO cdrs_staging (uniqueid, accountid, type, callerid, translated_dst,
    billseconds, callstart, debit, pattern, notes, reseller_id, reseller_code,
    provider_code, provider_code_destination, provider_call_cost, call_direction,
    calltype, end_stamp)
  VALUES (NEW.uniqueid, NEW.accountid, NEW.type, NEW.callerid, NEW.translated_dst,
    NEW.billseconds, NEW.callstart, NEW.debit, NEW.pattern, NEW.notes, NEW.reseller_id,
    NEW.reseller_code, NEW.provider_code, NEW.provider_code_destination,
    NEW.provider_call_cost, NEW.call_direction, NEW.calltype, NEW.end_stamp);
END;

CREATE TRIGGER activity_reports AFTER INSERT ON cdrs FOR EACH ROW
BEGIN
  IF NEW.calltype = 'STANDARD' THEN
    INSERT INTO activity_reports (accountid, last_outbound_call_time, balance,
      credit_limit)
    VALUES (NEW.accountid, NEW.callstart,
      COALESCE((SELECT a.balance FROM accounts a WHERE a.id = NEW.accountid), ''),
      COALESCE((SELECT a.credit_limit FROM accounts a WHERE a.id = NEW.accountid), ''))
    ON DUPLICATE KEY UPDATE last_outbound_call_time = NEW.callstart,
      balance = VALUES(balance), credit_limit = VALUES(credit_limit);
  END IF;
END;
