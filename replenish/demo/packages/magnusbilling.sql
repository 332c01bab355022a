-- as its own dump: zero dates
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO';

CREATE TABLE pkg_configuration (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, config_title varchar(100),
  config_key varchar(100), config_value varchar(200)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
INSERT INTO pkg_configuration (config_key, config_value) VALUES ('base_currency', '$'),
  ('version', '7.8.3.2');

CREATE TABLE pkg_group_user (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(100) NOT NULL,
  id_user_type int NOT NULL) ENGINE=InnoDB;
INSERT INTO pkg_group_user (id, name, id_user_type)
VALUES (1, 'Administrator', 1), (2, 'Agent', 2), (3, 'Client', 3);

CREATE TABLE pkg_user (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, id_user int DEFAULT NULL, id_group int NOT NULL,
  username varchar(20) NOT NULL, password varchar(100) NOT NULL,
  credit decimal(15,4) DEFAULT NULL, active tinyint(1) DEFAULT NULL,
  creationdate timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  firstusedate timestamp NOT NULL DEFAULT '0000-00-00 00:00:00',
  expirationdate timestamp NOT NULL DEFAULT '0000-00-00 00:00:00',
  enableexpire tinyint(1) DEFAULT 0, lastname varchar(50) NOT NULL DEFAULT '',
  firstname varchar(50) NOT NULL DEFAULT '', email varchar(100) NOT NULL DEFAULT '',
  lastuse timestamp NOT NULL DEFAULT '0000-00-00 00:00:00', typepaid tinyint(1) DEFAULT 0,
  creditlimit int NOT NULL DEFAULT 0, last_notification timestamp NULL DEFAULT NULL,
  credit_notification int NOT NULL DEFAULT 10, callingcard_pin int NOT NULL,
  UNIQUE KEY callingcard_pin (callingcard_pin), KEY username (username),
  FOREIGN KEY (id_group) REFERENCES pkg_group_user (id),
  FOREIGN KEY (id_user) REFERENCES pkg_user (id)) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE pkg_refill (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, id_user int NOT NULL,
  date timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, credit decimal(15,5) NOT NULL,
  description mediumtext, refill_type tinyint NOT NULL DEFAULT 0,
  payment tinyint NOT NULL DEFAULT 0, invoice_number varchar(50) NOT NULL DEFAULT '',
  image varchar(100) NOT NULL DEFAULT '', KEY fk_refill_user (id_user),
  CONSTRAINT fk_refill_user FOREIGN KEY (id_user) REFERENCES pkg_user (id)
    ON DELETE CASCADE) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE pkg_cdr (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY, id_user int NOT NULL,
  callerid varchar(40) NOT NULL DEFAULT '', uniqueid varchar(30) NOT NULL,
  starttime timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, sessiontime int DEFAULT NULL,
  calledstation varchar(30) NOT NULL, sessionbill float DEFAULT NULL,
  src varchar(40) NOT NULL, buycost decimal(15,6) DEFAULT 0,
  agent_bill decimal(15,6) DEFAULT 0,
  KEY id_user (id_user), KEY starttime (starttime), KEY calledstation (calledstation),
  KEY src (src), KEY callerid (callerid)) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TRIGGER update_user_credit_after_insert AFTER INSERT ON pkg_cdr FOR EACH ROW
BEGIN
  IF NEW.sessionbill > 0 THEN
    IF NEW.agent_bill > 0 THEN
      UPDATE pkg_user SET credit = credit - NEW.agent_bill WHERE id = NEW.id_user;
      UPDATE pkg_user SET credit = credit - NEW.sessionbill WHERE id = (
        SELECT o.id_user FROM (SELECT id, id_user FROM pkg_user) AS o
        WHERE o.id = NEW.id_user);
    ELSE
      UPDATE pkg_user SET credit = credit - NEW.sessionbill WHERE id = NEW.id_user;
    END IF;
  END IF;
END;
