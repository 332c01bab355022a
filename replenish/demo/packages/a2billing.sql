-- as its files need: zero dates
SET SESSION sql_mode = '';

CREATE TABLE cc_config (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, config_title varchar(100),
  config_key varchar(100), config_value varchar(200),
  config_group_title varchar(64) NOT NULL)
  ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;
INSERT INTO cc_config (config_key, config_value, config_group_title)
VALUES ('base_currency', 'usd', 'global'),
  ('dial_balance_reservation', '0.25', 'agi-conf1');

CREATE TABLE cc_version (version varchar(30) NOT NULL)
  ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;
INSERT INTO cc_version (version) VALUES ('2.3.0');

CREATE TABLE cc_agent (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, login char(20) NOT NULL,
  commission decimal(10,4) NOT NULL DEFAULT 0, com_balance decimal(15,5) NOT NULL,
  UNIQUE KEY (login)) ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;

CREATE TABLE cc_card_group (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(50), id_agent int DEFAULT NULL)
  ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;
INSERT INTO cc_card_group (id, name) VALUES (1, 'DEFAULT');

CREATE TABLE cc_card (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
  creationdate timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  firstusedate timestamp NOT NULL DEFAULT '0000-00-00 00:00:00',
  expirationdate timestamp NOT NULL DEFAULT '0000-00-00 00:00:00', enableexpire int DEFAULT 0,
  expiredays int DEFAULT 0,
  username varchar(50) NOT NULL, useralias varchar(50) NOT NULL, uipass varchar(50) NOT NULL,
  credit decimal(15,5) NOT NULL DEFAULT 0, id_didgroup int DEFAULT 0,
  activated char(1) NOT NULL DEFAULT 'f', status int NOT NULL DEFAULT 1,
  lastname varchar(50) NOT NULL, firstname varchar(50) NOT NULL, address varchar(100) NOT NULL,
  city varchar(40) NOT NULL, state varchar(40) NOT NULL, country varchar(40) NOT NULL,
  zipcode varchar(20) NOT NULL, phone varchar(20) NOT NULL, email varchar(70) NOT NULL,
  fax varchar(20) NOT NULL, inuse int DEFAULT 0, nbused int DEFAULT 0,
  lastuse timestamp NOT NULL DEFAULT '0000-00-00 00:00:00', currency char(3) DEFAULT 'USD',
  typepaid int DEFAULT 0, creditlimit int DEFAULT 0, redial varchar(50) NOT NULL,
  loginkey varchar(40) NOT NULL, vat float NOT NULL DEFAULT 0, autorefill int DEFAULT 0,
  initialbalance decimal(15,5) NOT NULL DEFAULT 0, id_group int NOT NULL DEFAULT 1,
  id_seria int DEFAULT NULL, serial bigint DEFAULT NULL, tag varchar(50) NOT NULL,
  email_notification varchar(70) NOT NULL, company_name varchar(50) NOT NULL,
  company_website varchar(60) NOT NULL, traffic_target varchar(300) NOT NULL,
  UNIQUE KEY (username), UNIQUE KEY (useralias))
  ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;

CREATE TABLE cc_card_seria (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, name char(30) NOT NULL, description mediumtext,
  value bigint NOT NULL DEFAULT 0) ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;

CREATE TRIGGER cc_card_serial_set BEFORE INSERT ON cc_card FOR EACH ROW
BEGIN
  UPDATE cc_card_seria SET value = value + 1 WHERE id = NEW.id_seria;
  SELECT value INTO @serial FROM cc_card_seria WHERE id = NEW.id_seria;
  SET NEW.serial = @serial;
END;

CREATE TRIGGER cc_card_serial_update BEFORE UPDATE ON cc_card FOR EACH ROW
BEGIN
  IF NEW.id_seria <> OLD.id_seria OR OLD.id_seria IS NULL THEN
    UPDATE cc_card_seria SET value = value + 1 WHERE id = NEW.id_seria;
    SELECT value INTO @serial FROM cc_card_seria WHERE id = NEW.id_seria;
    SET NEW.serial = @serial;
  END IF;
END;

CREATE TABLE cc_logrefill (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
  date timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, credit decimal(15,5) NOT NULL,
  card_id bigint NOT NULL, description mediumtext, refill_type tinyint NOT NULL DEFAULT 0,
  added_invoice tinyint NOT NULL DEFAULT 0, agent_id bigint DEFAULT NULL)
  ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;

CREATE TABLE cc_logpayment (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
  date timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, payment decimal(15,5) NOT NULL,
  card_id bigint NOT NULL, id_logrefill bigint DEFAULT NULL, description mediumtext,
  added_refill smallint NOT NULL DEFAULT 0, payment_type tinyint NOT NULL DEFAULT 0,
  added_commission tinyint NOT NULL DEFAULT 0, agent_id bigint DEFAULT NULL)
  ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;

CREATE TABLE cc_invoice (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, reference varchar(30) DEFAULT NULL,
  id_card bigint NOT NULL, date timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  paid_status tinyint NOT NULL DEFAULT 0, status tinyint NOT NULL DEFAULT 0,
  title varchar(50) NOT NULL, description mediumtext NOT NULL, UNIQUE KEY (reference))
  ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;

CREATE TABLE cc_invoice_item (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, id_invoice bigint NOT NULL,
  date timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  price decimal(15,5) NOT NULL DEFAULT 0, VAT decimal(4,2) NOT NULL DEFAULT 0,
  description mediumtext NOT NULL, id_ext bigint DEFAULT NULL,
  type_ext varchar(10) DEFAULT NULL) ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;

CREATE TABLE cc_invoice_payment (
  id_invoice bigint NOT NULL, id_payment bigint NOT NULL, PRIMARY KEY (id_invoice, id_payment))
  ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;

CREATE TABLE cc_invoice_conf (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, key_val varchar(50) NOT NULL,
  value varchar(50) NOT NULL, UNIQUE KEY (key_val)) ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;
INSERT INTO cc_invoice_conf (key_val, value) VALUES ('company_name', 'My company');

CREATE TABLE cc_payments (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, customers_id bigint NOT NULL DEFAULT 0,
  customers_name varchar(200) NOT NULL, customers_email_address varchar(96) NOT NULL,
  item_name varchar(127) DEFAULT NULL, item_id varchar(127) DEFAULT NULL,
  item_quantity int NOT NULL DEFAULT 0, payment_method varchar(32) NOT NULL,
  cc_type varchar(20) DEFAULT NULL, cc_owner varchar(64) DEFAULT NULL,
  cc_number varchar(32) DEFAULT NULL, cc_expires varchar(4) DEFAULT NULL,
  orders_status int NOT NULL, orders_amount decimal(14,6) DEFAULT NULL,
  last_modified datetime DEFAULT NULL, date_purchased datetime DEFAULT NULL,
  orders_date_finished datetime DEFAULT NULL, currency char(3) DEFAULT NULL,
  currency_value decimal(14,6) DEFAULT NULL)
  ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;

CREATE TABLE cc_call (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, sessionid varchar(40) NOT NULL,
  uniqueid varchar(30) NOT NULL, card_id bigint NOT NULL, nasipaddress varchar(30) NOT NULL,
  starttime timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  stoptime timestamp NOT NULL DEFAULT '0000-00-00 00:00:00', sessiontime int DEFAULT NULL,
  calledstation varchar(50) NOT NULL, sessionbill float DEFAULT NULL, src varchar(40) NOT NULL,
  dnid varchar(40) NOT NULL, KEY starttime (starttime), KEY calledstation (calledstation))
  ENGINE=MyISAM DEFAULT CHARSET=utf8 COLLATE=utf8_bin;
